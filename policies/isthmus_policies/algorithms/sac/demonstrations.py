"""Demonstrations as a replay that stays as it is: transitions from datasets of a task's own observations, actions and
rewards. `isthmus_policies.demonstrate.transitions` records them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.recording.robot_columns import column_name
from isthmus_datasets.training.loaded_columns import load_columns
from isthmus_policies.algorithms.sac.meaning import differences, meaning
from isthmus_policies.algorithms.sac.replay import ReplayBuffer, closed
from isthmus_policies.networks.policy import Groups, Tensors
from isthmus_sim.task import Task

MEANING = "meaning"
"""The episodes' fact that says what their numbers mean, as JSON."""
ACTION, REWARD, DONE, TRUNCATED = "action", "next.reward", "next.done", "next.truncated"
FIX = "record it with: python -m isthmus_policies.demonstrate.transitions RUN DATASET"


def transition_features(groups: Groups, action_size: int) -> Features:
    """The columns of a dataset of transitions: the observation groups, the action from -1 to 1, what it earned, and
    whether the episode ended with it, by failure or success or by running out of time."""
    number, flag = Feature(dtype="float32", shape=(1,)), Feature(dtype="bool", shape=(1,))
    seen = {column_name(name): Feature(dtype=group.dtype, shape=group.shape) for name, group in groups.items()}
    action = Feature(dtype="float32", shape=(action_size,), info={"units": ["1"] * action_size})
    return {**seen, ACTION: action, REWARD: number, DONE: flag, TRUNCATED: flag}


class Demonstrations:
    """A replay of all transitions of some datasets.

    Args:
        roots: Their folders.
        task: What is learned.
        groups: The observation groups to keep.
        rewarded: Whether their rewards count; otherwise nobody minded anything but a failure, which is -1.
        device: Where they are kept.

    Raises:
        DatasetError: a dataset is damaged, of another task, action scale or shape, or lacks rewards or ends. The
            message names the dataset, the feature and the fix.
    """

    def __init__(
        self, roots: Sequence[Path], task: Task, groups: Groups, *, rewarded: bool, device: torch.device
    ) -> None:
        self.roots = tuple(roots)
        episodes = [each for root in roots for each in _episodes(root, task, groups, rewarded)]
        self.replay = ReplayBuffer(task, groups, 1, sum(len(each["action"]) for each in episodes), device)
        self._digest = hashlib.sha256()
        for each in episodes:
            self.replay.append(each)
            for name in sorted(each):
                self._digest.update(each[name].contiguous().numpy().tobytes())

    def state_dict(self) -> Tensors:
        """A digest of what they are, which stays where it is."""
        return {"digest": torch.frombuffer(bytearray(self._digest.digest()), dtype=torch.uint8)}

    def load_state_dict(self, state: Tensors) -> None:
        """Raises ValueError where the run was begun with other ones."""
        if not torch.equal(state["digest"].cpu(), self.state_dict()["digest"]):
            raise ValueError(
                f"the demonstrations in {', '.join(map(str, self.roots))} have changed since the run was begun: bring "
                "back those that were there, or begin another run"
            )


def _episodes(root: Path, task: Task, groups: Groups, rewarded: bool) -> Iterator[Tensors]:
    """The steps of each episode by the names that a replay has; where time was out, what was seen then closes it."""
    reader = DatasetReader(root)
    wanted = transition_features(groups, task.action_size)
    if not rewarded:
        del wanted[REWARD]
    _check(reader, task, wanted)
    columns = load_columns(reader, list(wanted))
    if (largest := float(np.abs(columns[ACTION]).max())) > 1.0:
        raise DatasetError(f"{root}: {ACTION!r} goes up to {largest:.3g}, those of a task are from -1 to 1: {FIX}")
    steps = {f"observations.{name}": torch.from_numpy(columns[column_name(name)]) for name in groups}
    steps["action"], done, truncated = (torch.from_numpy(columns[name]) for name in (ACTION, DONE, TRUNCATED))
    steps["truncated"] = truncated[:, 0]
    steps["terminated"] = done[:, 0] & ~truncated[:, 0]  # some say of what was cut that it is done, some do not
    steps["reward"] = torch.from_numpy(columns[REWARD])[:, 0] if rewarded else torch.zeros(len(done))
    first = 0
    for row in reader.episodes:
        episode = {name: values[first : first + row.length].clone() for name, values in steps.items()}
        if not rewarded and row.facts.get("success") is False:
            episode["reward"] = -episode["terminated"].float()
        yield _ended(reader, row.index, episode, groups)
        first += row.length


def _check(reader: DatasetReader, task: Task, wanted: Features) -> None:
    """Raise DatasetError where the dataset is not of this task, or lacks a column."""
    root = reader.root
    if seen := [name for name, feature in wanted.items() if feature.dtype == "uint8"]:
        raise DatasetError(f"{root}: datasets of transitions hold no images, and {', '.join(seen)} would be needed")
    if not reader.episodes:
        raise DatasetError(f"{root} has no episode: {FIX}")
    for name, feature in wanted.items():
        there = reader.info.features.get(name)
        if there is None:
            raise DatasetError(f"{root} has no column {name!r}, which learning from transitions needs: {FIX}")
        if (there.dtype, there.shape) != (feature.dtype, feature.shape):
            raise DatasetError(
                f"{root}: {name!r} is {there.dtype} {there.shape}, the task {task.name!r} has {feature.dtype} "
                f"{feature.shape}: {FIX}"
            )
    for row in reader.episodes:
        said = row.facts.get(MEANING)
        if not isinstance(said, str):
            raise DatasetError(f"{root}: episode {row.index} does not say what its numbers mean ({MEANING!r}): {FIX}")
        if wrong := list(differences(json.loads(said), meaning(task))):
            raise DatasetError(f"{root}: episode {row.index} is of another task: {'; '.join(wrong)}: {FIX}")


def _ended(reader: DatasetReader, index: int, steps: Tensors, groups: Groups) -> Tensors:
    """An episode with its end. Raises DatasetError where it has none."""
    terminated, truncated = steps["terminated"], steps["truncated"]
    ends = terminated | truncated
    if not bool(ends[-1]) or bool(ends[:-1].any()):
        raise DatasetError(
            f"{reader.root}: by {DONE!r} and {TRUNCATED!r}, episode {index} does not end with its last step alone: "
            f"{FIX}"
        )
    final = reader.final(index)
    if bool(terminated[-1]) or final is None:
        return steps
    truncated[-1] = False
    return closed(steps, {name: _tensor(final[column_name(name)]) for name in groups})


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))
