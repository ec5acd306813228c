"""What a demonstration left in its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_deploy import policy_file
from isthmus_deploy.contract import Contract
from isthmus_policies.demo.report.plots import Phase
from isthmus_policies.export.export import POLICY_FILE
from isthmus_policies.training.logs import read_metrics
from isthmus_policies.training.worlds import robot_named
from isthmus_sim.description import RobotDescription

RUN = "run"
ROBOT_LOG, NODE_LOG, ECHO_LOG = "robot.json", "node.json", "echo.json"

Array = NDArray[Any]


class ReportError(ValueError):
    """There is not enough in the folder to make a report of; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What a demonstration left in its folder.

    task: registered name of the task that was asked for; description: the robot that the policy was trained on;
    metrics: rows of the training's metrics.csv; mission: its name, and so that of its record; facts: MISSION.json;
    arrays: MISSION.npz (see `MissionLog.arrays`); robot, node, echo: what the stand-in robot, the policy node and the
    bare echo measured, empty where a process did not end by itself.
    """

    folder: Path
    task: str
    description: RobotDescription
    contract: Contract
    digest: str
    policy_bytes: int
    metrics: list[dict[str, float]]
    mission: str
    facts: dict[str, Any]
    arrays: dict[str, Array]
    robot: dict[str, Any]
    node: dict[str, Any]
    echo: dict[str, Any]

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
    with np.load(record, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
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
        mission=mission,
        facts=_read_json(record.with_suffix(".json")),
        arrays=arrays,
        robot=_read_json(folder / ROBOT_LOG),
        node=_read_json(folder / NODE_LOG),
        echo=_read_json(folder / ECHO_LOG),
    )


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}
