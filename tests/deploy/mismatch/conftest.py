"""Flights of two joints that follow their commands, each as it is told, right and wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.flight import flown
from isthmus_deploy.flight.flown import FlownPolicy
from isthmus_deploy.flight.recorded import Flight
from isthmus_deploy.flight.row import NUMBERS, STATES, Layout
from isthmus_deploy.flight.writer import BagWriter, Job
from isthmus_deploy.safety.supervisor import State

Change = Callable[[np.ndarray], np.ndarray]
TICKS = 300
PERIOD_NS = 10_000_000
POLICIES = (FlownPolicy(name="policy", sha256="", file=Path("policy.onnx")),)


def same(values: np.ndarray) -> np.ndarray:
    """Nothing is changed."""
    return values


@pytest.fixture(scope="session")
def noisy(contract: Contract) -> Contract:
    """The contract of two joints whose encoder has noise, so that it never stands still."""
    position, *others = contract.signals
    return dataclasses.replace(contract, signals=(dataclasses.replace(position, max_still_s=0.5), *others))


@pytest.fixture(scope="session")
def fly(noisy: Contract) -> Callable[..., Flight]:
    """`fly(seed, commands=, readings=, steps=)`: joints that close a third of the gap in each tick, one faster than the
    other, and sag as their load wants. What they are told and what is read of them can be changed."""

    def make(seed: int, commands: Change = same, readings: Change = same, period_ns: int = PERIOD_NS) -> Flight:
        random = np.random.default_rng(seed)
        times = np.arange(TICKS) * 1e-2
        sent = 0.3 * np.sin(2 * np.pi * random.uniform(0.5, 2.0, 2) * times[:, None] + random.uniform(0, 6, 2))
        share = np.array([0.25, 0.4]) * random.uniform(0.95, 1.05, 2)
        true = np.zeros((TICKS, 2))
        told = np.array([commands(row) for row in sent])
        for tick in range(1, TICKS):
            true[tick] = true[tick - 1] + share * (told[tick - 1] - [0.05, 0.02] - true[tick - 1])
        read = np.array([readings(row) for row in true + random.normal(0.0, 0.003, true.shape)])
        level = np.tile([1.0, 0.0, 0.0, 0.0], (TICKS, 1)) + random.normal(0.0, 1e-3, (TICKS, 4))
        signals = {"joint_position": read, "orientation": level, "goal": np.zeros((TICKS, 1))}
        numbers = {name: np.zeros(TICKS, np.int64) for name in NUMBERS}
        numbers |= {"tick": np.arange(1, TICKS + 1), "monotonic_ns": np.arange(TICKS) * period_ns}
        return Flight(
            contract=noisy, policies=POLICIES, ramp_s=0.0, numbers=numbers, states=[State.RUNNING] * TICKS,
            chunks=np.zeros((TICKS, 1), np.int64),
            signals={name: values.astype(np.float32) for name, values in signals.items()},
            ages_s=np.zeros((TICKS, 3)), has_wanted=np.ones(TICKS, bool), wanted={"joint_command": sent},
            sent={"joint_command": sent}, finished=True,
        )  # fmt: skip

    return make


@pytest.fixture
def record() -> Callable[[Flight, Path], Path]:
    """`record(flight, root)`: its bag as the recorder's process writes it; the file."""

    def write(flight: Flight, root: Path) -> Path:
        job = Job(
            ring_fd=-1, contract=flight.contract.to_json(), images=False, policies=flown.to_json(POLICIES), ramp_s=0.0,
            started="", epoch_ns=0, root=str(root), run="20261128-120000_two-joints_1", limit=10**9,
        )  # fmt: skip
        writer = BagWriter(job)
        rows = np.zeros(len(flight.states), Layout(flight.contract, images=False, policies=1).row)
        for place, name in enumerate(NUMBERS):
            rows["numbers"][:, place] = flight.numbers[name]
        rows["signals"] = np.hstack([flight.signals[signal.name] for signal in flight.contract.signals])
        rows["wanted"], rows["sent"] = flight.wanted["joint_command"], flight.sent["joint_command"]
        rows["has_wanted"] = rows["has_sent"] = True
        rows["state"] = STATES.index(State.RUNNING)
        writer.write(rows)
        writer.finish()
        return next(root.glob("*/*.mcap"))

    return write
