"""A robot with two commands: each moves what is its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from grabber import ARM, DRIVES, JAW, JOINTS, MJCF, ROBOT, scene

from isthmus_sim.actuators import Torques
from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Resets
from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.scene import joint_motion


def settled(robot: RobotDescription, commands: dict[str, list[float]]) -> list[float]:
    """Joint positions after 4 s of commands that are held."""
    engine = MujocoEngine(replace(scene(robot), quantities=joint_motion(JOINTS)), 1, num_threads=1)
    state = engine.advance(None)
    for _ in range(200):
        state = engine.advance({name: torch.tensor([value]) for name, value in commands.items()})
    assert float(state["joint_velocity"].abs().max()) < 1e-3
    return state["joint_position"][0].tolist()


def test_each_command_moves_what_is_its_own():
    """Without gravity all joints come to where they are told, the arm by PD and the jaw by the model's servo."""
    assert settled(ROBOT, {"jaw": [0.03], "arm": [0.4, -0.5]}) == pytest.approx([0.4, -0.5, 0.03], abs=2e-3)


def test_torques_and_a_servo():
    """0.3 N·m against a spring of 2 N·m/rad in the shoulder: 0.15 rad; -0.4 N·m in the elbow: -0.2 rad."""
    text = MJCF.replace('axis="0 1 0"', 'axis="0 1 0" stiffness="2" damping="1"')
    sprung = replace(ROBOT, actuators=(Torques(command="arm", actuators=ARM), JAW), model=lambda looks: text)
    found = settled(sprung, {"arm": [0.3, -0.4], "jaw": [0.02]})
    assert found == pytest.approx([0.15, -0.2, 0.02], abs=2e-3)


def test_a_servos_command_may_have_another_unit():
    """A control is 0.0004 · 40 + 0.01 = 0.026 m."""
    scaled = replace(ROBOT, actuators=(DRIVES, replace(JAW, scale=(0.0004,), offset=(0.01,))))
    assert settled(scaled, {"arm": [0.0, 0.0], "jaw": [40.0]})[2] == pytest.approx(0.026, abs=1e-3)


def test_each_reset_forgets_the_targets_of_its_own_motors():
    engine = MujocoEngine(scene(), 2, num_threads=1)
    engine.advance({"arm": torch.full((2, 2), -0.5), "jaw": torch.zeros(2, 1)})
    place = torch.tensor([[0.1, -0.2, 0.01]])
    state = engine.advance(None, Resets(ids=torch.tensor([1]), state={"joint_position": place}))
    assert state["actuator"].tolist() == [[-0.5, -0.5], [0.0, 0.0]]
    torch.testing.assert_close(state["joint_position"][[1]], place)
