"""A walk with real processes: a robot that stands up, does not follow, and is laid down again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import standing_policy

pytestmark = pytest.mark.ros


@pytest.fixture
def standing(tmp_path: Path) -> Path:
    """A policy that stands, whatever it is asked for."""
    path = tmp_path / "standing.onnx"
    path.write_bytes(standing_policy.policy_file())
    return path


def test_a_robot_that_only_stands_fails_the_walk_and_is_laid_down(start, standing: Path, tmp_path: Path):
    robot = start("stand_in_robot", "--robot", "quadruped", "--seed", 1)
    node = start("node.policy_node", standing)
    plan = ("--plan.side-m", 0.4, "--plan.stand-s", 0.8, "--plan.turn-rate", 1.5)
    mission = start("missions.walk", *plan, "--log", tmp_path)

    assert mission.exit_status(90.0) == 1, mission.output
    assert "walk failed: turn 1: 90° still to go after 3." in mission.output
    assert node.end() == 0, node.output
    assert robot.end() == 0, robot.output

    walk = json.loads((tmp_path / "walk.json").read_text())
    assert [phase["name"] for phase in walk["phases"]] == ["stand up", "stand", "side 1", "turn 1", "sit down"]
    with np.load(tmp_path / "walk.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    height = dict(zip(("armed", "end"), arrays["position"][[0, -1], 2], strict=True))
    assert height["armed"] < 0.1, "it lay"
    assert arrays["position"][arrays["time"] > 0, 2].max() > 0.25, "it stood"
    assert height["end"] < 0.1, "it lies again"
    assert 0.5 < -arrays["time"][0] < 5.0, "standing up takes its time"
    assert tuple(arrays["reading_order/joint_position"]) == tuple(standing_policy.ROBOT.joints)
    assert arrays["reading/joint_position"].shape == (len(arrays["reading_time/joint_position"]), 12)
    assert arrays["command/joint_position_target"].shape == (len(arrays["command_time/joint_position_target"]), 12)
    assert len(arrays["reading/joint_position"]) > 50
    asked = arrays["asked_velocity"][arrays["time"] > 0]
    assert {tuple(row) for row in asked.round(3).tolist()} == {(0.0, 0.0, 0.0), (0.6, 0.0, 0.0), (0.0, 0.0, 1.5)}
