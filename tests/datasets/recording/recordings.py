"""Recording a point mass that needs no processes, as a script of events has it, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from point_mass import FEATURES, PointMass, Push

from isthmus_datasets.recording.operator import Controller, Decision, Event
from isthmus_datasets.recording.rate import VirtualClock
from isthmus_datasets.recording.recorder import Recorder
from isthmus_datasets.recording.robot import Observation
from isthmus_datasets.recording.robot_columns import open_dataset


class Script:
    """Says these events one after another, and acts (k, -3) in step k; human and policy take turns."""

    name = "tester"

    def __init__(self, *events: str) -> None:
        self.events, self.step = [Event(event) for event in events], 0

    def reset(self, seed: int) -> None:
        pass

    def decide(self, observation: Observation) -> Decision:
        event, self.step = self.events[self.step], self.step + 1
        control = Controller.HUMAN if self.step % 2 else Controller.POLICY
        return Decision(action=np.array([self.step - 1, -3.0], np.float32), control=control, event=event)

    def close(self) -> None:
        pass


class Robot(PointMass):
    """A point mass without cameras, which need processes: `change` is applied to the observation of step 2."""

    def __init__(self, change: Callable[[Observation], Observation] = lambda observation: observation) -> None:
        super().__init__()
        self.features, self.change = replace(FEATURES, cameras={}), change
        self.acts: list[Any] = []

    def observe(self) -> Observation:
        seen = super().observe()
        times = {name: seen.capture_time_ns[name] for name in self.features.columns}
        seen = replace(seen, images={}, capture_time_ns=times)
        return self.change(seen) if self.steps == 2 else seen

    def act(self, action: Any) -> Any:
        self.acts.append(action.copy())
        return super().act(action)


class Meddling(Push):
    """Does something in step 5."""

    def __init__(self, meddle: Callable[[], None]) -> None:
        super().__init__(steps=200)
        self.meddle = meddle

    def plan(self, observation: Observation, step: int) -> Any:
        if step == 5:
            self.meddle()
        return super().plan(observation, step)


@contextmanager
def recording(root: Path, robot: Any, operator: Any, **options: Any) -> Iterator[Recorder]:
    """At 10 Hz, as fast as it can be."""
    options = {"task": "push", "clock": VirtualClock()} | options
    with open_dataset(root, robot.features, fps=10) as writer, Recorder(robot, operator, writer, **options) as recorder:
        yield recorder


def record(root: Path, robot: Any, operator: Any, **options: Any) -> Recorder:
    """One episode with seed 3."""
    with recording(root, robot, operator, **options) as recorder:
        recorder.record(3)
    return recorder
