"""Snapshots on disk, with what they are of: one safetensors file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from isthmus_policies.algorithms.sac.meaning import differences, meaning
from isthmus_policies.training.checkpoint import load_checkpoint, save_checkpoint
from isthmus_policies.training.worlds import robot_digest
from isthmus_sim.resets.starts import Snapshot
from isthmus_sim.task import Task

FORMAT = "isthmus.snapshots.1"
FILE = "snapshots.safetensors"
"""The file in the folder of a dataset that was recorded with snapshots."""
_EARNED = ("reward", "episode_steps")
"""Fields of a task's configuration that no state depends on: they say what is earned, and until when."""


def what_of(task: Task, engine: str) -> dict[str, Any]:
    """What a snapshot's numbers mean, as JSON: the task and its configuration, the robot, and the engine by name."""
    told = meaning(task)
    if isinstance(told["config"], dict):
        told["config"] = {name: value for name, value in told["config"].items() if name not in _EARNED}
    return told | {"robot": robot_digest(task.robot), "engine": engine}


def write_snapshots(path: Path, snapshots: list[Snapshot], task: Task, engine: str) -> int:
    """Write them; how many rows they have together. Raises OSError."""
    joined = {name: torch.cat([each[name] for each in snapshots]) for name in snapshots[0]}
    save_checkpoint(path, joined, {"of": what_of(task, engine)}, FORMAT)
    return len(joined["episode_step"])


def read_snapshots(path: Path, task: Task, engine: str) -> Snapshot:
    """Read the snapshots of a file, or of a dataset's folder.

    Raises:
        FileNotFoundError: there are none.
        CheckpointError: the file is damaged, or another one.
        ValueError: they are of another task, configuration, robot or engine; the message has the lines that differ.
    """
    file = path / FILE if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        raise FileNotFoundError(
            f"{path} has no {FILE}: record it with: python -m isthmus_policies.demonstrate.transitions RUN DATASET "
            "--snapshots"
        )
    snapshots, facts = load_checkpoint(file, FORMAT)
    there, here = facts["of"], what_of(task, engine)
    if there["task"] != here["task"]:  # then everything else differs, too
        there, here = ({"task": each["task"]} for each in (there, here))
    if wrong := list(differences(there, here)):
        raise ValueError(f"{file}: its snapshots are of other worlds than these: {'; '.join(wrong)}")
    return snapshots
