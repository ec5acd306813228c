"""Run by test_recorder_crash.py: one process that starts others, each of which records until it is killed.

ROOT: for each byte on the standard input a forked child prints "processes", its id and its encoder's, then "step" with
every step and "saved" with the index of every episode that is; its end is printed as well.
"""

from __future__ import annotations

import itertools
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from point_mass import PointMass, Push

from isthmus_datasets.recording.rate import VirtualClock
from isthmus_datasets.recording.recorder import Recorder
from isthmus_datasets.recording.robot import Observation
from isthmus_datasets.recording.robot_columns import open_dataset


def say(*words: object) -> None:
    os.write(1, " ".join(map(str, words)).encode() + b"\n")


class Robot(PointMass):
    """With one camera of two."""

    def __init__(self) -> None:
        super().__init__()
        self.features = replace(self.features, cameras={"scene": self.features.cameras["scene"]})

    def observe(self) -> Observation:
        seen = super().observe()
        times = {name: seen.capture_time_ns[name] for name in self.features.sensors}
        return replace(seen, images={"scene": seen.images["scene"]}, capture_time_ns=times)


class Telling(Push):
    """Says every step."""

    def plan(self, observation: Observation, step: int) -> np.ndarray:
        say("step")
        return super().plan(observation, step)


def child(root: Path) -> None:
    robot = Robot()
    with (
        open_dataset(root, robot.features, fps=10) as writer,
        Recorder(robot, Telling(steps=12), writer, task="push", clock=VirtualClock()) as recorder,
    ):
        say("processes", os.getpid(), recorder.videos.processes["scene"].pid)
        for index in itertools.count(writer.num_episodes):
            say("saved", recorder.record(seed=index + 1).index)


def main() -> None:
    while os.read(0, 1):
        pid = os.fork()
        if pid == 0:
            child(Path(sys.argv[1]))
        _, status = os.waitpid(pid, 0)
        say("end", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
