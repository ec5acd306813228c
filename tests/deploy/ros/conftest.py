"""Operators and policy files of the ROS tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside this file

if TYPE_CHECKING:
    from ros_processes import Operator

# What cannot be imported without ROS 2; `test_without_ros` says so.
_NEED_ROS = ["test_[!w]*.py", "bindings/*.py", "missions/*_processes.py", "stand_in_robot/test_sensors_and_faults.py"]
collect_ignore_glob = [] if find_spec("rclpy") else _NEED_ROS


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy file that flies the stand-in robot."""
    import hand_made_policy

    path = tmp_path_factory.mktemp("policy") / "hand_made.onnx"
    path.write_bytes(hand_made_policy.policy_file())
    return path


@pytest.fixture
def operator(domain: int) -> Iterator[Operator]:
    """A person at the robot."""
    from ros_processes import Operator

    person = Operator()
    yield person
    person.close()


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy file with which the stand-in quadruped stands."""
    import standing_policy

    path = tmp_path_factory.mktemp("policy") / "standing.onnx"
    path.write_bytes(standing_policy.policy_file())
    return path


@pytest.fixture
def walker(domain: int) -> Iterator[Operator]:
    """A person at a robot with legs."""
    from ros_processes import Operator

    person = Operator("forward_position_controller/commands")
    yield person
    person.close()
