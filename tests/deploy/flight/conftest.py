"""A recorded run of the policy of two joints, made in this process but for the recorder's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from isthmus_deploy.controller import PolicyController
from isthmus_deploy.drivers.driver import Driver
from isthmus_deploy.drivers.step import StepDriver
from isthmus_deploy.flight import recorder
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.timing.loop import ControlLoop

PERIOD_NS = 10_000_000


class Run:
    """A control loop without a robot: `tick` is one control period, recorded.

    Args:
        policy: File of the policy that drives.
        root: The folder of all flights.
        make_signals: Makes readings.
        others: Further ones that may take its place, by name.
        options: Of the recorder.
    """

    def __init__(
        self, policy: Path, root: Path, make_signals: Callable, others: Mapping[str, Driver] | None = None, **options
    ) -> None:
        drivers = {"policy": StepDriver(Runtime(policy)), **(others or {})}
        self.controller = PolicyController(drivers, ramp_s=0.05)
        loop = ControlLoop(period_s=0.01, tick=lambda _: None, wait=lambda _: True)
        arguments = {"files": [policy, *map(Path, others or {})], "limit": 10**9, **options}
        self.recorder = recorder.FlightRecorder(self.controller, loop, root=root, **arguments)
        self._make_signals = make_signals
        self.now_ns = 1_000_000_000
        self.wanted: list[np.ndarray] = []
        self.sent: list[np.ndarray] = []

    def tick(self) -> None:
        self.now_ns += PERIOD_NS
        angle = 0.3 * math.sin(1e-9 * self.now_ns)
        signals = self._make_signals(angle, 0.5 * angle, goal=0.1)
        ages = {"joint_position": 0.001, "orientation": 0.002, "goal": 0.0}
        commands = self.controller.tick(signals, ages, self.now_ns)
        self.recorder.record(self.now_ns, signals, ages, commands, 300_000)
        if self.controller.wanted is not None:
            self.wanted.append(self.controller.wanted["joint_command"].copy())
        self.sent.append(commands["joint_command"].copy())

    def activate(self, ticks: int) -> None:
        """From idle to running and back."""
        self.controller.arm(self.now_ns)
        for _ in range(30):
            self.tick()
        self.controller.start(self.now_ns)
        for _ in range(ticks):
            self.tick()
        self.controller.stop(self.now_ns)
        self.tick()
        self.controller.reset(self.now_ns)


@pytest.fixture
def start_run(policy_path: Path, tmp_path: Path, make_signals, monkeypatch):
    """`start_run(**options of the recorder)`; its recorder ends with the test. The loop runs as fast as it can, so the
    ring holds 30 s of its time."""
    monkeypatch.setattr(recorder, "_BUFFERED_S", 30.0)
    runs = []

    def start(**options) -> Run:
        # A run's folder is named by the second and the process: these are begun by one process in one second.
        runs.append(Run(policy_path, tmp_path / f"flights{len(runs)}", make_signals, **options))
        return runs[-1]

    yield start
    for run in runs:
        run.recorder.close()
