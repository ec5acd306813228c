"""Commands replayed from recorded states: a robot that is its simulation does not part from it, a heavier one does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from untrained import contract_for

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.flight.recorded import Flight
from isthmus_deploy.flight.row import NUMBERS
from isthmus_deploy.safety.supervisor import State as Mode
from isthmus_policies.evaluation.flown_windows import ReplayError
from isthmus_policies.evaluation.gap.page import draw
from isthmus_policies.evaluation.gap.replay import Gap, measure
from isthmus_sim.engine import Params, Resets
from isthmus_sim.engines import make_engine
from isthmus_sim.robots.quadrotor.description import CRAZYFLIE
from isthmus_sim.robots.quadruped.description import ROBOT as QUADRUPED
from isthmus_sim.task import Task
from isthmus_sim.tasks import make_task

TICKS = 220


@pytest.fixture(scope="module")
def task() -> Task:
    return make_task("quadrotor-randomized")


@pytest.fixture(scope="module")
def contract(task: Task) -> Contract:
    return contract_for(task.robot, "quadrotor-randomized")


def flown(task: Task, contract: Contract, params: Params) -> Flight:
    """A quadrotor high in the air whose rotors wobble about hovering, without noise, as it would have been recorded."""
    engine = make_engine(task.scene, 1, "mujoco")
    start = {"position": torch.tensor([[0.0, 0.0, 5.0]])}
    state = engine.advance(None, Resets(ids=torch.arange(1), state=start, params=params))
    rows: dict[str, list[np.ndarray]] = {signal.name: [] for signal in contract.signals}
    sent = []
    for tick in range(TICKS):
        goal = task.goal(torch.tensor([0]), None, torch.Generator())
        for name, value in task.sense(state, goal).items():
            rows[name].append(value[0].numpy().copy())
        wobble = 60.0 * torch.sin(0.2 * tick + torch.arange(4.0))
        sent.append((CRAZYFLIE.hover_speed + wobble).numpy())
        state = engine.advance({"rotor_speed": torch.as_tensor(sent[-1])[None]})
    engine.close()
    numbers = {name: np.zeros(TICKS, np.int64) for name in NUMBERS} | {"tick": np.arange(1, TICKS + 1)}
    commands = {"rotor_speed": np.array(sent, float)}
    return Flight(
        contract=contract, policies=(), ramp_s=0.0, numbers=numbers, states=[Mode.RUNNING] * TICKS,
        chunks=np.zeros((TICKS, 0), np.int64),
        signals={name: np.stack(values) for name, values in rows.items()}, ages_s=np.zeros((TICKS, len(rows))),
        has_wanted=np.ones(TICKS, bool), wanted=commands, sent=commands, finished=True,
    )  # fmt: skip


def gap_of(task: Task, flight: Flight) -> dict[str, float]:
    gap = measure(flight, task, "mujoco", horizon_s=0.3, draws=8, seed=0)
    assert gap.windows == 3, "of 220 ticks 100 lead in; each window has 30, and the last one needs one more"
    return {parting.name: parting.share for parting in gap.partings}


def test_a_robot_that_is_its_simulation_does_not_part_from_it_and_a_heavier_one_does(task: Task, contract: Contract):
    same = gap_of(task, flown(task, contract, {}))
    assert sorted(same) == ["angular_velocity", "linear_velocity", "orientation", "position"]
    assert max(same.values()) < 0.2
    heavier = gap_of(task, flown(task, contract, {"mass": torch.tensor([[1.5 * CRAZYFLIE.mass]])}))
    assert heavier["position"] > 1.0, "half as heavy again is more than training draws"
    assert heavier["position"] > 5 * same["position"]


def test_what_cannot_be_replayed_is_said(task: Task, contract: Contract):
    flight = flown(task, contract, {})
    with pytest.raises(ReplayError, match="the policy never drove for 301 ticks in a row"):
        measure(flight, task, "mujoco", horizon_s=2.0, draws=2, seed=0)
    walking = make_task("quadruped", robot=QUADRUPED)
    legs = replace(
        flight, signals={signal.name: np.zeros((TICKS, *signal.shape), np.float32) for signal in QUADRUPED.signals}
    )
    with pytest.raises(ReplayError, match="quadruped does not measure position, linear_velocity"):
        measure(legs, walking, "mujoco", horizon_s=0.3, draws=2, seed=0)


def test_the_page_has_every_quantity(task: Task, contract: Contract, tmp_path: Path):
    gap: Gap = measure(flown(task, contract, {}), task, "mujoco", horizon_s=0.3, draws=2, seed=0)
    draw(gap, "crazyflie", tmp_path / "gap.png")
    assert (tmp_path / "gap.png").read_bytes().startswith(b"\x89PNG")
