"""A robot of another package over DDS: joints, a camera, goals. Nothing in the project knows its name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import looking_arm
import numpy as np
import pytest
import untrained

from isthmus_sim.rendering.offscreen import available_backend

pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(available_backend() is None, reason="no off-screen OpenGL: apt-get install libegl1 libopengl0"),
]


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    looking_arm.install(tmp_path)
    modules = [str(Path(str(module.__file__)).parent) for module in (looking_arm, untrained)]
    path = [str(tmp_path), *modules, *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    file = tmp_path / "looking.onnx"
    file.write_bytes(looking_arm.policy_file())
    return file


def test_it_goes_where_it_is_told_by_what_it_sees(start, policy: Path, tmp_path: Path):
    robot = start("stand_in_robot", "--robot", "looking_arm", "--seed", 2)
    node = start("node.policy_node", policy)
    mission = start("missions.goal", 0.6, -0.4, -0.5, 1.5, "--hold-s", 2.5, "--log", tmp_path / "record")
    assert mission.exit_status(60.0) == 1, mission.output
    assert "goal 1: 0.0" in mission.output
    assert "goal failed: goal 2: " in mission.output
    assert "more was asked than the policy was trained for" in mission.output
    assert node.end() == 0, node.output
    assert robot.end() == 0, robot.output
    facts = json.loads((tmp_path / "record" / "goal.json").read_text())
    assert facts["errors"] == pytest.approx([0.0, 0.5], abs=0.03), "1.5 rad were asked, 1 rad was trained"
    with np.load(tmp_path / "record" / "goal.npz", allow_pickle=False) as stored:
        assert stored["reading_order/joint_position"].tolist() == list(looking_arm.JOINTS)
        assert np.abs(stored["command/joint_position_target"]).max() <= 1.0 + 1e-6


def test_an_announced_robot_is_the_one_that_the_policy_needs(start, policy: Path):
    """The stand-in announces it too; a node takes whichever it hears."""
    announcer = start("announce", policy)
    announcer.wait_for("looking_arm is announced on /robot_interface until Ctrl-C")
    assert "camera_top/image_raw  (sensor_msgs/Image; best effort, depth 1)" in announcer.output
    node = start("node.policy_node", policy, "--wait-s", 3.0)
    assert node.exit_status() == 2
    assert "camera_top (topic camera_top/image_raw)" in node.output, "it met the robot, whose driver is silent"
    assert announcer.end() == 0
