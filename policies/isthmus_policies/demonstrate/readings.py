"""`python -m isthmus_policies.demonstrate.readings TASK RECORDED DATASET`: what people and scripts have shown, as
transitions that off-policy learning takes in.

Recordings hold a robot's readings and commands. What the robot's own observation groups were follows from these by the
task's functions, step by step with its memory, as the exported graph would have it; what only the simulation knows does
not. So the critics of whoever learns from them read what the robot has, as those of "sac-robot" do.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.recording.robot_columns import column_name
from isthmus_policies.actor_learner.learning_run import LearningRun
from isthmus_policies.algorithms.sac.demonstrations import (
    ACTION,
    DONE,
    MEANING,
    REWARD,
    TRUNCATED,
    transition_features,
)
from isthmus_policies.algorithms.sac.meaning import meaning
from isthmus_policies.demonstrate.features import signal_column, split
from isthmus_policies.export.graph import observed_groups
from isthmus_sim.task import Task
from isthmus_sim.tasks import TASKS, make_task
from isthmus_sim.threads import use_thread_budget

PROGRAM = "python -m isthmus_policies.demonstrate.readings"
SUCCESS = "next.success"
Rows = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Turn recorded demonstrations into transitions: what was observed, the task's action that asks for the recorded
    command, rewards, ends. Where the robot told no reward, success earns 1."""

    task: Annotated[str, tyro.conf.Positional]
    """Name of the task; or the folder of a run by --algorithm sac-robot, whose task it is, as that is configured."""
    recorded: Annotated[Path, tyro.conf.Positional]
    """Folder of the dataset that isthmus-teleop or isthmus-record has recorded."""
    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder of the dataset of transitions, which is made."""


class Readings:
    """The robot's signals in recorded columns, found by the names of their elements, such as joint_position.shoulder.

    Raises:
        DatasetError: the dataset lacks a signal, by name, or the robot sees images.
    """

    def __init__(self, reader: DatasetReader, task: Task) -> None:
        places = {
            element: (name, place)
            for name, feature in reader.info.features.items()
            if name.startswith("observation.") and feature.dtype == "float32"
            for place, element in enumerate(feature.names or ())
        }
        self._signals = task.robot.signals
        if images := [signal.name for signal in self._signals if signal.dtype == "uint8"]:
            raise DatasetError(f"{reader.root}: transitions hold no images, and the robot sees {', '.join(images)}")
        wanted = {signal.name: signal_column([signal]).names or () for signal in self._signals}
        if missing := [name for names in wanted.values() for name in names if name not in places]:
            raise DatasetError(f"{reader.root} has no reading {', '.join(missing)}, which {task.robot.name} has")
        self._places = {name: [places[element] for element in elements] for name, elements in wanted.items()}

    def at(self, rows: Rows, step: int | None = None) -> dict[str, Tensor]:
        """Every signal (1, *shape) at a step of recorded columns, or in a row without steps."""

        def value(name: str, place: int) -> float:
            return float(rows[name][place] if step is None else rows[name][step, place])

        read = {name: [value(*each) for each in places] for name, places in self._places.items()}
        return {
            signal.name: torch.tensor(read[signal.name], dtype=torch.float32).reshape(1, *signal.shape)
            for signal in self._signals
        }


def transitions(reader: DatasetReader, task: Task) -> Iterator[Episode]:
    """Every episode as transitions. Raises DatasetError for readings or commands that are not the robot's, and
    NotImplementedError for a task without the inverse of `act`."""
    readings, groups = Readings(reader, task), observed_groups(task)
    size = sum(command.size for command in task.robot.commands)
    action = reader.info.features.get("action")
    if action is None or action.shape != (size,):
        raise DatasetError(f"{reader.root}: its action is not the {size} commands of {task.robot.name}")
    for index in range(reader.num_episodes):
        yield _episode(reader, index, task, readings, groups)


def _episode(reader: DatasetReader, index: int, task: Task, readings: Readings, groups: tuple[str, ...]) -> Episode:
    recorded, row = reader.columns(index), reader.episodes[index]
    memory = {spec.name: torch.full((1, *spec.shape), spec.initial) for spec in task.memory}
    seen: list[dict[str, Tensor]] = []
    actions = []
    for step in range(row.length):
        signals = readings.at(recorded, step)
        seen.append(task.observe(signals, memory))
        sent = split(task.robot.commands, recorded["action"][step])
        commands = {name: torch.from_numpy(value.copy())[None] for name, value in sent.items()}
        actions.append(task.action_of(commands, signals, memory).clamp(-1.0, 1.0))
        memory = task.remember(memory, signals, actions[-1])
    final = reader.final(index)
    after = None if final is None else _rows(task.observe(readings.at(final), memory), groups)
    columns = {column_name(name): np.stack([each[name][0].numpy() for each in seen]) for name in groups}
    ends = {name: recorded[name] for name in (DONE, TRUNCATED)}
    reward = recorded.get(REWARD, recorded[SUCCESS].astype(np.float32))
    facts = {"success": row.facts.get("success"), "operator": row.facts.get("operator", ""), MEANING: _said(task)}
    acted = {ACTION: torch.cat(actions).numpy(), REWARD: reward, **ends}
    return Episode(columns=columns | acted, task=task.name, facts=facts, final=after)


def _rows(observed: Mapping[str, Tensor], groups: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    return {column_name(name): observed[name][0].numpy() for name in groups}


def _said(task: Task) -> str:
    return json.dumps(meaning(task))


def features(task: Task) -> Mapping[str, Feature]:
    """Columns of the dataset that is made."""
    return transition_features({name: task.groups[name] for name in observed_groups(task)}, task.action_size)


def convert(options: Options) -> str:
    """Convert; a line that says what there is now. Raises ValueError, OSError and DatasetError."""
    task = make_task(options.task) if options.task in TASKS else LearningRun.of(Path(options.task)).task
    reader = DatasetReader(options.recorded)
    episodes = list(transitions(reader, task))
    with DatasetWriter.create(
        options.dataset, fps=reader.info.fps, features=dict(features(task)), robot_type=task.robot.name
    ) as writer:
        for episode in episodes:
            writer.append(episode)
    succeeded = sum(bool(episode.facts["success"]) for episode in episodes)
    steps = sum(episode.length for episode in episodes)
    return f"{options.dataset}: {len(episodes)} episodes, {steps} steps, {succeeded} of them succeeded"


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    try:
        options = tyro.cli(Options, prog=PROGRAM, args=arguments)
        use_thread_budget()
        print(convert(options))
    except (ValueError, DatasetError, NotImplementedError, OSError) as error:
        sys.exit(f"{PROGRAM}: {error}")


if __name__ == "__main__":
    main()
