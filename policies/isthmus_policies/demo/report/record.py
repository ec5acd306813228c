"""What a demonstration left in its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.policy import policy_file
from isthmus_policies.demo.report.plots import Phase
from isthmus_policies.export.export import POLICY_FILE
from isthmus_policies.training.logs import read_metrics
from isthmus_policies.training.worlds import robot_named
from isthmus_sim.description import RobotDescription

RUN, TEACHER = "run", "teacher"
MADE = "made.json"
"""What is known of how the policy was made, beside its run."""
EXPORT_LOG = "export.log"
ROBOT_LOG, NODE_LOG, ECHO_LOG = "robot.json", "node.json", "echo.json"
THINGS = "robot.npz"

Array = NDArray[Any]


class ReportError(ValueError):
    """There is not enough in the folder to make a report of; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What a demonstration left in its folder.

    task: registered name of the task that was asked for; description: the robot that the policy was trained on;
    metrics: rows of the training's metrics.csv; teacher: those of a teacher, if there was one; made: what else is known
    of how the policy was made; replayed: what the export said of its replay; mission: its name, and so that of its
    record; facts: MISSION.json; arrays: MISSION.npz (see `MissionLog.arrays`); robot, node, echo: what the stand-in
    robot, the policy node and the bare echo measured, empty where a process did not end by itself; things: at a task,
    what the stand-in kept of everything (see `TaskRecord`), its `time` in s since the mission's start.
    """

    folder: Path
    task: str
    description: RobotDescription
    contract: Contract
    digest: str
    policy_bytes: int
    metrics: list[dict[str, float]]
    teacher: list[dict[str, float]]
    made: dict[str, Any]
    replayed: str
    mission: str
    facts: dict[str, Any]
    arrays: dict[str, Array]
    robot: dict[str, Any]
    node: dict[str, Any]
    echo: dict[str, Any]
    things: dict[str, Array]

    @property
    def success(self) -> bool:
        """Whether the mission succeeded."""
        return self.facts["success"]

    @property
    def phases(self) -> list[Phase]:
        """The mission's phases: name, start and end, s."""
        return [(phase["name"], phase["start_s"], phase["end_s"]) for phase in self.facts["phases"]]

    @property
    def video(self) -> Path:
        """Where its video is, if there is one."""
        return self.folder / f"{self.mission}.mp4"


def load_demo(folder: Path, task: str, mission: str) -> Demo:
    """Read what a demonstration of `task` by this mission left in `folder`. Raises ReportError, RegistryError,
    ModelError, PolicyFileError, OSError."""
    policy = policy_file.read(folder / RUN / POLICY_FILE)
    provenance = policy.contract.provenance
    record = folder / mission / f"{mission}.npz"
    if not record.is_file():
        raise ReportError(f"{record.parent} holds no {record.name}: the mission recorded nothing")
    arrays, facts = _read_arrays(record), _read_json(record.with_suffix(".json"))
    if len(arrays["time"]) < 2:
        raise ReportError(
            f"{record.parent} holds a {mission} of {len(arrays['time'])} samples: there is nothing to show"
        )
    return Demo(
        folder=folder,
        task=task,
        description=robot_named(provenance.robot_model, provenance.task),
        contract=policy.contract,
        digest=policy.digest,
        policy_bytes=len(policy.model),
        metrics=read_metrics(folder / RUN),
        teacher=read_metrics(folder / TEACHER),
        made=_read_json(folder / MADE),
        replayed=_replayed(folder / EXPORT_LOG),
        mission=mission,
        facts=facts,
        arrays=arrays,
        robot=_read_json(folder / ROBOT_LOG),
        node=_read_json(folder / NODE_LOG),
        echo=_read_json(folder / ECHO_LOG),
        things=_things(folder / THINGS, facts.get("zero_s", 0.0)),
    )


def _things(path: Path, zero_s: float) -> dict[str, Array]:
    """What the stand-in kept; nothing where there is no task, or it did not end by itself."""
    things = _read_arrays(path) if path.is_file() else {}
    return {**things, "time": things["time"] - zero_s} if things else {}


def _replayed(path: Path) -> str:
    """The line of the export's log; empty where there is none."""
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    return next((line.strip() for line in lines if line.strip().startswith("replayed ")), "")


def _read_arrays(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}
