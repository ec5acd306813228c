"""A ROS_DOMAIN_ID that ROS 2 takes for another one, or dies of."""

from __future__ import annotations

import pytest

from isthmus_deploy.ros.domain import domain_problem
from isthmus_deploy.ros.ros2 import Link, Refusal


@pytest.mark.parametrize("text", ["", "0", "7", "101", "232"])
def test_domains(text):
    assert domain_problem(text) is None


@pytest.mark.parametrize("text", ["-1", "233", "1e3", "77.0", " 77", "0x10", "kitchen", "٣", "9" * 5000])
def test_what_is_none_is_refused_before_ros_2_starts(monkeypatch, text):
    monkeypatch.setenv("ROS_DOMAIN_ID", text)
    with pytest.raises(Refusal, match=r"^ROS 2 does not start: ROS_DOMAIN_ID: '.* is no whole number from 0 to 232$"):
        Link("nowhere")
