"""A robot that is known is found again from its flights, and what they cannot tell is said."""

from __future__ import annotations

from collections.abc import Callable
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
from isthmus_policies.evaluation.flown_windows import FlownWindows, ReplayError
from isthmus_policies.evaluation.identify.fit import fit_robot
from isthmus_policies.evaluation.identify.identify import identify
from isthmus_policies.evaluation.identify.replayed import MOST_LATE, Replayed, unknowns_of
from isthmus_policies.training.options import parse
from isthmus_policies.training.worlds import make_task as make_configured_task
from isthmus_sim.engine import Params, Resets
from isthmus_sim.engines import make_engine
from isthmus_sim.identify.identified_robot import IdentifiedRobot, NotIdentifiedError, read_identified_robot
from isthmus_sim.robots.quadrotor.description import CRAZYFLIE, ROTOR_X, ROTOR_Y, ROTOR_YAW
from isthmus_sim.task import Task
from isthmus_sim.tasks import make_task
from isthmus_sim.terms.randomization import Joint, jointly

Controls = Callable[[int, dict[str, np.ndarray]], np.ndarray]
HORIZON_S = 0.2


@pytest.fixture(scope="module")
def task() -> Task:
    return make_task("quadrotor-randomized")


@pytest.fixture(scope="module")
def contract(task: Task) -> Contract:
    return contract_for(task.robot, "quadrotor-randomized")


def shaken(tick: int, seen: dict[str, np.ndarray]) -> np.ndarray:
    """Rotor speeds (4,) rad/s that hold it level, and shake it about all axes."""
    w, x, y, _ = seen["orientation"]
    level = -8.0 * np.sign(w) * np.array([x, y, 0.0]) - np.array([2.0, 2.0, 3.0]) * seen["angular_velocity"]
    roll, pitch, yaw = level + np.array([60.0, 60.0, 150.0]) * np.sin(np.array([0.31, 0.23, 0.17]) * tick)
    up = CRAZYFLIE.hover_speed + 100.0 * np.sin(0.05 * tick)
    return up + np.array(ROTOR_Y) * roll - np.array(ROTOR_X) * pitch + np.array(ROTOR_YAW) * yaw


def flown(
    task: Task, contract: Contract, params: Params, controls: Controls = shaken, ticks: int = 900, late: int = 0,
    noise: float = 0.0,
) -> Flight:  # fmt: skip
    """What would have been recorded high in the air, each reading `late` ticks old and with that much noise, in its
    unit."""
    engine = make_engine(task.scene, 1, "mujoco")
    start = {"position": torch.tensor([[0.0, 0.0, 5.0]])}
    state = engine.advance(None, Resets(ids=torch.arange(1), state=start, params=params))
    seen, sent = [], []
    for tick in range(ticks):
        goal = task.goal(torch.tensor([0]), None, torch.Generator())
        seen.append({name: value[0].numpy().copy() for name, value in task.sense(state, goal).items()})
        sent.append(controls(tick, seen[-1]))
        state = engine.advance({"rotor_speed": torch.as_tensor(sent[-1])[None]})
    engine.close()
    random = np.random.default_rng(0)
    told = [
        {name: value + noise * random.standard_normal(value.shape) for name, value in seen[max(0, tick - late)].items()}
        for tick in range(ticks)
    ]
    numbers = {name: np.zeros(ticks, np.int64) for name in NUMBERS} | {"tick": np.arange(1, ticks + 1)}
    commands = {"rotor_speed": np.array(sent, float)}
    return Flight(
        contract=contract, policies=(), ramp_s=0.0, numbers=numbers, states=[Mode.RUNNING] * ticks,
        chunks=np.zeros((ticks, 0), np.int64), ages_s=np.zeros((ticks, len(told[0]))),
        signals={name: np.stack([row[name] for row in told]) for name in told[0]},
        has_wanted=np.ones(ticks, bool), wanted=commands, sent=commands, finished=True,
    )  # fmt: skip


def identified(task: Task, flight: Flight, *names: str) -> IdentifiedRobot:
    return identify({"flight": flight}, task, parameters=names, horizon_s=HORIZON_S, engine="analytic")


@pytest.fixture(scope="module")
def plain(task: Task, contract: Contract) -> IdentifiedRobot:
    """A nominal robot, in part."""
    return identified(task, flown(task, contract, {}), "mass", "inertia")


def test_a_heavy_slow_robot_with_late_readings_is_found(task: Task, contract: Contract):
    truth = {"mass": [0.0305], "time_constant_up": [0.1], "inertia": [5e-6, 6e-6, 9e-6]}
    params = {name: torch.tensor([values]) for name, values in truth.items()}
    found = identified(task, flown(task, contract, params, late=1), *truth)
    for name, values in truth.items():
        assert [item.value for item in found.parameters[name]] == pytest.approx(values, rel=0.03), name
    assert found.latency_s.value == pytest.approx(0.01, abs=0.0015)
    assert not found.remarks
    for name, error in found.errors.items():
        assert error.identified < 0.1 * error.nominal, name


def test_what_a_flight_cannot_tell_is_said_and_keeps_its_width(task: Task, contract: Contract):
    """Thrust over mass is all that is seen of both; and a robot that never turns says nothing of its inertia."""

    def level(tick: int, seen: dict[str, np.ndarray]) -> np.ndarray:
        return shaken(tick, seen).mean().repeat(4)

    known = {parameter.name: parameter for parameter in task.scene.parameters}
    flight = flown(task, contract, {}, level, noise=0.003)
    found = identified(task, flight, "mass", "thrust_coefficient", "inertia")
    notes = {note.split(":")[0]: note for note in found.remarks}
    assert "cannot be told apart from thrust_coefficient" in notes["mass"]
    assert "what would help: more change of angular_velocity" in notes["inertia.z"]
    for name, element in (("mass", 0), ("inertia", 2)):
        width = found.parameters[name][element].high - found.parameters[name][element].low
        assert width > 0.5 * (known[name].maximum[element] - known[name].minimum[element])


def test_the_truth_lies_in_the_region_and_elsewhere_does_not(task: Task, contract: Contract):
    flight = flown(task, contract, {"mass": torch.tensor([[0.029]])}, noise=0.003)
    windows = FlownWindows.of((flight,), task, HORIZON_S, margin=MOST_LATE + 1)
    mass = next(parameter for parameter in task.scene.parameters if parameter.name == "mass")
    fit = fit_robot(Replayed(windows, task, "analytic", unknowns_of([mass], task.robot.control_period_s)))
    assert fit.contains(np.array([0.029, 0.0]))
    assert not fit.contains(np.array([0.027, 0.0]))


def test_a_file_gives_training_its_draws(plain: IdentifiedRobot, tmp_path: Path):
    path = tmp_path / "robot.json"
    plain.write(path)
    assert read_identified_robot(path) == plain
    config = parse(["quadrotor-randomized", "--identified", str(path)]).config
    drawn: Params = {}
    for draw in make_configured_task(config).randomization:
        drawn |= draw(2000, torch.Generator().manual_seed(0))
    for name, ranges in plain.parameters.items():
        for column, item in zip(drawn[name].T, ranges, strict=True):
            inside = ((column >= item.low) & (column <= item.high)).float().mean()
            assert 0.9 < inside < 1.0
    assert drawn["battery"].max() > drawn["battery"].min(), "what was not identified is drawn as ever"


def test_what_is_only_known_together_is_drawn_together(task: Task):
    mass, thrust = 0.027, 2.9e-8
    known = Joint(
        parameters=("mass", "thrust_coefficient"), values=(mass, thrust),
        covariance=tuple(
            tuple(0.1**2 * a * b * (1.0 if a == b else 0.999) for b in (mass, thrust)) for a in (mass, thrust)
        ),
        low=(0.02, 2e-8), high=(0.04, 4e-8),
    )  # fmt: skip
    drawn = jointly(task.scene, known)(2000, torch.Generator().manual_seed(0))
    assert float(drawn["mass"].std()) == pytest.approx(0.1 * mass, rel=0.1)
    share = drawn["thrust_coefficient"] / drawn["mass"]
    assert float(share.std() / share.mean()) < 0.01
    assert drawn["mass"].min() >= 0.02 - 1e-9
    with pytest.raises(ValueError, match="inertia of crazyflie has 3 numbers, not 1"):
        jointly(task.scene, replace(known, parameters=("mass", "inertia"), low=(0.02, 0.0), high=(0.04, 1.0)))
    with pytest.raises(ValueError, match="has no covariance"):
        jointly(task.scene, replace(known, covariance=((1.0, 2.0), (2.0, 1.0))))


def test_of_another_robot_or_file_nothing_is_drawn(plain: IdentifiedRobot, tmp_path: Path):
    path = tmp_path / "robot.json"
    replace(plain, robot="spot").write(path)
    with pytest.raises(NotIdentifiedError, match="spot was identified, and this is crazyflie"):
        parse(["quadrotor-randomized", "--identified", str(path)])
    path.write_text('{"version": 7}')
    with pytest.raises(NotIdentifiedError, match="has version 7; this program reads 1"):
        read_identified_robot(path)
    path.write_text("mass = 3")
    with pytest.raises(NotIdentifiedError, match=r"robot\.json: not of isthmus-identify-robot"):
        read_identified_robot(path)


def test_too_little_is_refused(task: Task, contract: Contract):
    with pytest.raises(ReplayError, match="windows are too few for 10 unknowns: fly 20 of them"):
        identified(task, flown(task, contract, {}, ticks=250), *(p.name for p in task.robot.parameters))
    with pytest.raises(ValueError, match="crazyflie has no parameter 'wings'; it has: thrust_coefficient"):
        identified(task, flown(task, contract, {}, ticks=250), "wings")
