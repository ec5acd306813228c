"""Motors with a learnt residual: by hand, alone where nothing is known, and refused where no engine has them."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from quadrupeds import POSE, begin, on_mujoco, standing, step, targets, walk

from isthmus_sim.actuators import LearnedMotors, PDMotors
from isthmus_sim.description import RobotDescription
from isthmus_sim.engines.worker.robot_of_scene import unsupported
from isthmus_sim.residual import CELLS, Residual, network
from isthmus_sim.robots.quadruped.description import ROBOT
from isthmus_sim.scene import legged_scene

MOTORS = ROBOT.actuators[0]
assert isinstance(MOTORS, PDMotors)
JOINT = list(MOTORS.joints)[4]
MOTOR = MOTORS.motors[JOINT]
KNOWN = Residual(
    units=((3.0, 1.0, 0.2, 0.05),), known=("#" * CELLS,) * CELLS, logs=("made",),
    motor={"saturation_effort": MOTOR.saturation_effort, "no_load_speed": MOTOR.no_load_speed},
)  # fmt: skip


def learned(residual: Residual, joint: str = JOINT, period_s: float = 0.005) -> RobotDescription:
    motors = LearnedMotors(**{**vars(MOTORS), "residuals": {joint: residual}})
    return replace(ROBOT, actuators=(motors,), control_period_s=period_s)


def test_it_adds_its_share_of_the_stall_torque():
    """In a physics step: 0.2 rad of error at 25 N·m/rad ask for 5 N·m, at -1 rad/s; by strength 0.9."""
    engine, start, target = on_mujoco(1, learned(KNOWN)), standing(1, 1.0), POSE.repeat(1, 1)
    target[:, 4] += 0.2
    start["joint_velocity"][:, 4] = -1.0
    begin(engine, start, strength=0.9 * torch.ones(1, 12))
    found = step(engine, target)["joint_torque"][0]
    share = network(KNOWN.units, np.array([5.0 / MOTOR.saturation_effort]), np.array([-1.0 / MOTOR.no_load_speed]))
    assert float(found[4]) == pytest.approx(0.9 * (5.5 + MOTOR.saturation_effort * share[0]), rel=1e-5)
    assert float(found[[0, 1, 2, 3, 5]].abs().max()) < 1e-6, "the others have none"


def test_where_nothing_is_known_the_formula_is_alone_and_it_says_so():
    unknown = replace(KNOWN, known=("." * CELLS,) * CELLS)
    rows = targets(5, 3)
    plain, silent = on_mujoco(3), on_mujoco(3, learned(unknown, period_s=ROBOT.control_period_s))
    begin(plain, standing(3))
    begin(silent, standing(3))
    with pytest.warns(UserWarning, match=f"{JOINT}: here its motor is asked for what no log of its residual") as told:
        found = walk(silent, rows)
    assert len(told) == 1, "once"
    assert torch.equal(found, walk(plain, rows))


def test_where_all_is_known_it_is_silent_and_makes_a_difference():
    rows, engine, plain = targets(5, 3), on_mujoco(3, learned(KNOWN, period_s=ROBOT.control_period_s)), on_mujoco(3)
    begin(engine, standing(3))
    begin(plain, standing(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = walk(engine, rows)
    assert not torch.equal(found, walk(plain, rows))


def test_a_residual_of_another_motor_is_refused():
    other = replace(KNOWN, motor={**KNOWN.motor, "saturation_effort": 0.5})
    with pytest.raises(ValueError, match=f"{JOINT}: its residual was learnt beside a motor whose saturation_effort is"):
        learned(other)
    with pytest.raises(ValueError, match="there is no joint 'wheel'; there are: "):
        learned(KNOWN, "wheel")


def test_other_engines_refuse_it_rather_than_leave_it_out():
    reason = unsupported(legged_scene(learned(KNOWN)))
    assert reason is not None
    assert "quadruped has LearnedMotors" in reason
    warp = pytest.importorskip("isthmus_sim.engines.warp_engine", reason="the extra gpu is not installed")
    with pytest.raises(ValueError, match="quadruped has LearnedMotors; use 'mujoco'"):
        warp.WarpEngine(legged_scene(learned(KNOWN)), 1)
