"""Walks in one process: the safety chain around a policy that only stands, on hidden bodies."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import cast

import numpy as np
import pytest
import standing_policy
from chunk_models import with_chunks

from isthmus_deploy.contracts.robot_interface import ContractMismatch
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.ros.missions.walk_plan import Leg, WalkPlan
from isthmus_deploy.ros.stand_in_robot import trial
from isthmus_deploy.ros.stand_in_robot.trial import Trial
from isthmus_deploy.ros.stand_in_robot.worlds.described import DescribedWorld
from isthmus_deploy.safety.conditions import Conditions
from isthmus_sim.robots.quadruped.description import ROBOT


@pytest.fixture(scope="module")
def runtime(tmp_path_factory) -> Runtime:
    path = tmp_path_factory.mktemp("policy") / "standing.onnx"
    path.write_bytes(standing_policy.policy_file())
    return Runtime(path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan(WalkPlan):
    """Legs that are no square."""

    parts: tuple[Leg, ...]

    @property
    def legs(self) -> tuple[Leg, ...]:
        return self.parts


def leg(duration_s: float, *velocity: float) -> Leg:
    forward, left, turning = velocity or (0.0, 0.0, 0.0)
    return Leg(name=f"{forward:g} {left:g} {turning:g}", velocity=(forward, left, turning), duration_s=duration_s)


def walked(runtime: Runtime, seed: int, *legs: Leg) -> Trial:
    return trial.walk(runtime, ROBOT, seed, Plan(parts=legs))


class Robot(DescribedWorld):
    """Keeps what it was told: (n, 12) rad."""

    made: Robot

    def __init__(self, scene, seed):
        self.told = []
        super().__init__(scene, seed)
        Robot.made = self

    def step(self, commands, n=1):
        super().step(commands, n)
        if n == 10:
            self.told.append(commands["joint_position_target"])


@pytest.fixture
def robot(monkeypatch):
    monkeypatch.setattr(trial, "DescribedWorld", Robot)
    return lambda: Robot.made


def test_it_stands_up_stands_and_lies_down(runtime, robot):
    result = walked(runtime, 0, leg(1.0), leg(1.0, 0.5, 0.0, 0.2))
    assert not result.fell
    assert result.fault is None
    assert result.walked_s == pytest.approx(2.0)
    assert result.hidden == robot().hidden()
    assert result.distance_m < 0.2
    assert result.away_m == pytest.approx(0.5, abs=0.05)
    assert result.failures[0] == "did not follow in 0.5 0 0.2: 0.50 m/s off (at most 0.2 m/s)"
    # Half of what counts asks for 0 and half for 0.5 m/s and 0.2 rad/s, and it does not move.
    assert result.velocity_error == pytest.approx(0.25, abs=0.05)
    assert result.yaw_rate_error == pytest.approx(0.1, abs=0.03)
    told = np.array(robot().told)
    safe = runtime.contract.commands[0].safe
    assert told[-1].tolist() == list(safe)
    assert robot().base_touches
    rate = np.array(runtime.contract.commands[0].transition_rate) * runtime.contract.control_period_s
    changes = np.abs(np.diff(told, axis=0))
    assert (changes[:20] <= rate * (1 + 1e-9)).all(), "it stands up slowly"
    assert (changes[-40:] <= rate * (1 + 1e-9)).all(), "and lies down slowly"


def test_a_robot_that_does_as_it_is_told_succeeds(runtime):
    assert walked(runtime, 0, leg(1.0)).failures == ()


class Standing:
    """A policy of chunks that stands."""

    scores = None

    def __init__(self, contract) -> None:
        self.contract, self.asked = with_chunks(contract), 0

    def conditions(self) -> Conditions:
        return Conditions()

    def step(self, signals, noise=None, begin=None):
        self.asked += 1
        assert signals["joint_position"].shape == (2, 12)
        return {"joint_position_target": np.tile(standing_policy.DEFAULT, (4, 1))}


def test_a_policy_of_chunks_walks_too(runtime):
    policy = Standing(runtime.contract)
    assert walked(cast(Runtime, policy), 0, leg(1.0)).failures == ()
    # A second of walking and 0.3 s of handing over to stand-by, of 20 ms each.
    assert policy.asked == pytest.approx(32.5, abs=2), "each chunk of four is followed for two control periods"


def test_the_same_seed_walks_the_same_walk(runtime):
    plan = leg(0.3, 0.3, 0.0, 0.0)
    first, again, other = walked(runtime, 3, plan), walked(runtime, 3, plan), walked(runtime, 4, plan)
    assert first == again
    assert first.energy_j != other.energy_j


def test_a_robot_that_tips_over_fell(runtime, monkeypatch):
    def push(self, commands, n=1):
        if self.time_s > 2.5:
            self._data.qvel[3] = 8.0  # rad/s about its long axis
        DescribedWorld.step(self, commands, n)

    monkeypatch.setattr(trial, "DescribedWorld", type("Pushed", (DescribedWorld,), {"step": push}))
    result = walked(runtime, 0, leg(5.0))
    assert result.fell
    assert result.failures[0].startswith("fell: ")
    assert 0.0 < result.walked_s < 5.0


def test_a_robot_that_the_mission_calls_fallen_fell(runtime, monkeypatch):
    """Sunk to a third of its height, with its base still off the ground: one definition for trial and mission."""

    def truth(self):
        true = DescribedWorld.truth(self)
        true.position[2] *= 1.0 if self.time_s < 2.5 else 0.3
        return true

    monkeypatch.setattr(trial, "DescribedWorld", type("Sinking", (DescribedWorld,), {"truth": truth}))
    result = walked(runtime, 0, leg(5.0))
    assert result.fell
    assert result.failures[0].startswith("fell: base at 0.")
    assert 0.0 < result.walked_s < 5.0


def test_a_sensor_that_fails_is_a_fault_and_it_still_lies_down(runtime, monkeypatch, robot):
    def sense(self):
        readings = DescribedWorld.sense(self)
        if self.time_s > 2.5:
            readings["joint_velocity"][3] = np.nan
        return readings

    monkeypatch.setattr(Robot, "sense", sense)
    result = walked(runtime, 0, leg(5.0))
    assert result.fault == "joint_velocity.FR_hip_joint: not finite (nan)"
    assert result.failures == (result.fault,)
    assert not result.fell
    assert result.walked_s < 5.0
    assert robot().told[-1].tolist() == list(runtime.contract.commands[0].safe)


def test_a_plan_too_short_to_settle_has_no_errors(runtime):
    result = walked(runtime, 0, leg(0.2))
    assert result.velocity_error is None
    assert dataclasses.asdict(result)["walked_s"] == pytest.approx(0.2)


def test_a_policy_of_another_robot_is_refused(runtime):
    other = dataclasses.replace(ROBOT, name="another")
    with pytest.raises(ContractMismatch, match="robot: contract quadruped, robot another"):
        trial.walk(runtime, other, 0)


def test_it_needs_no_ros():
    code = "import sys, isthmus_deploy.ros.stand_in_robot.trial; print('rclpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == ["False"], result.stderr
