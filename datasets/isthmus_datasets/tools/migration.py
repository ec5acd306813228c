"""Datasets that an earlier version recorded, as this one records them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.episode import Episode, Scalar
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.recording.ending import Ending
from isthmus_datasets.recording.operator import Controller
from isthmus_datasets.recording.robot_columns import RENAMED, is_earlier
from isthmus_datasets.tools.operations import write_episodes

_TIMES, _AROUND = "capture_time_ns", "environment_state"
_FLAGS = ("policy_known", "intervention", "next.success", "next.done", "next.truncated")
_FLAG = Feature(dtype="bool", shape=(1,))


def migrate(source: Path, target: Path) -> int:
    """Make today's dataset of one that an earlier version recorded.

    Columns get today's names; capture times of what only a simulator knows, which never were any, are left out. The
    last row of an episode ends it: truncated, unless it succeeded. A person who drove in an episode where a policy or
    script drove too intervened; what the policy would have done there was not recorded: the action stands for it, and
    policy_known says so. A dataset that lacks no more than that column gets it.

    Returns:
        How many steps that is true of.

    Raises:
        DatasetError: the source was not recorded by an earlier version, is damaged, or `target` is there already.
        OSError: a file cannot be written.
    """
    reader = DatasetReader(source)
    names = reader.info.features.keys()
    if not {"action", "control"} <= names or not is_earlier(names):
        raise DatasetError(
            f"{source} was not recorded by an earlier version of this program: nothing is to be migrated"
        )
    recent = "policy_action" in names
    features = {**reader.info.features, "policy_known": _FLAG} if recent else _features(reader.info.features)
    info = replace(reader.info, features=features)
    unknown = 0

    def migrated(episode: Episode) -> Episode:
        nonlocal unknown
        known = {"policy_known": episode.columns["control"] != Controller.HUMAN}
        columns = (episode.columns if recent else _columns(episode, _kept_times(reader.info.features))) | known
        unknown += int(columns["intervention"].sum())
        if recent:
            return replace(episode, columns=columns)
        return replace(episode, columns=columns, facts=_facts(episode))

    everything = ((reader, index) for index in range(reader.num_episodes))
    write_episodes(target, info, everything, change=migrated)
    return unknown


def _features(features: Features) -> Features:
    named = {RENAMED.get(name, name): feature for name, feature in features.items()}
    old, kept = named.pop(_TIMES, None), _kept_times(features)
    if old and kept:
        names = tuple(old.names[i] for i in kept) if old.names else None
        named[_TIMES] = replace(old, shape=(len(kept),), names=names, info={"units": ["ns"] * len(kept)})
    flags = dict.fromkeys(_FLAGS, _FLAG)
    return {**named, "policy_action": features["action"], **flags}


def _kept_times(features: Mapping[str, Feature]) -> list[int]:
    """Which capture times stay: what a simulator knows has none."""
    if _TIMES not in features:
        return []
    names = features[_TIMES].names or ()
    return [i for i in range(features[_TIMES].shape[0]) if i >= len(names) or names[i] != _AROUND]


def _columns(episode: Episode, times: list[int]) -> dict[str, NDArray[Any]]:
    columns = {RENAMED.get(name, name): values for name, values in episode.columns.items()}
    stamps = columns.pop(_TIMES, None)
    if stamps is not None and times:
        columns[_TIMES] = stamps[:, times]
    last = np.zeros((episode.length, 1), bool)
    last[-1] = True
    success = columns.get("next.success", last & False) | (last & bool(_success(episode)))
    person = columns["control"] == Controller.HUMAN
    return columns | {
        "policy_action": columns["action"].copy(),
        "intervention": person & (not person.all()),
        "next.success": success,
        "next.done": last,
        "next.truncated": last & ~success,
    }


def _success(episode: Episode) -> bool:
    told = episode.columns.get("next.success")
    return episode.facts.get("success") is True or (told is not None and bool(told[-1, 0]))


def _facts(episode: Episode) -> dict[str, Scalar]:
    """Why an episode that did not succeed was ended was not recorded."""
    return {**episode.facts, **({"ending": Ending.SUCCESS.value} if _success(episode) else {})}
