"""Damage to files and to what they say of each other: exactly that is found, in the right episode."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from refusals import lacking
from spoiling import cut, edit_info, edit_json, edit_parquet, with_column

from isthmus_datasets.format.features import Feature
from isthmus_datasets.tools.checks.column_roles import roles
from isthmus_datasets.tools.checks.suite import CHECKS, name_of
from isthmus_datasets.tools.scan.gather import gather

DATA = "data/chunk-000/file-003.parquet"
VIDEO = "videos/camera/chunk-000/file-003.mp4"
ROW = "meta/episodes/chunk-000/file-003.parquet"
TASKS, STATISTICS = "meta/tasks.parquet", "meta/stats.json"
Spoil = Callable[[Path], object]
Expected = tuple[str, str, int | None]


def test_nothing_is_found_in_a_dataset_that_is_as_it_should_be(clean_dataset: Path, demonstrations):
    assert demonstrations.check(clean_dataset) == ([], "")


def test_every_check_says_in_one_line_what_it_looks_for():
    names = [name_of(check) for check in CHECKS]
    assert len(set(names)) == len(names) >= 20
    for check in CHECKS:
        assert check.__doc__
        assert check.__doc__.endswith(".")
        assert "\n" not in check.__doc__


def test_names_that_tell_learners_another_role(tmp_path: Path, demonstrations):
    others = {"observation.environment_state": (7,), "action.sent": (3,), "observation.object_cover": (1,)}
    features = demonstrations.features | {n: Feature(dtype="float32", shape=shape) for n, shape in others.items()}
    episodes = demonstrations.episodes(3)
    for episode in episodes:
        wave = np.sin(np.linspace(0, 2, 60, dtype=np.float32))[:, None]
        episode.columns.update({name: np.tile(wave, shape) for name, shape in others.items()})
    scan = gather(demonstrations.save(tmp_path / "d", episodes, features))
    assert [(f.severity, f.message.split(":")[0], f.fix.split(",")[0]) for f in roles(scan)] == [
        ("warning", "observation.environment_state", "call it simulation.environment_state"),
        ("warning", "action.sent", "call it sent_action"),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_bytes_are_damaged_all_checks_are_made(dataset: Path, demonstrations, seed: int):
    rng = np.random.default_rng(seed)
    for path in (path for path in sorted(dataset.rglob("*.*")) if path.suffix in (".parquet", ".mp4")):
        content = bytearray(path.read_bytes())
        for place in rng.integers(0, len(content), 5):
            content[place] = rng.integers(256)
        path.write_bytes(content)
    found, _ = demonstrations.check(dataset)
    assert {check for _, check, _ in found} <= {name_of(check) for check in CHECKS}
    assert len({episode for severity, _, episode in found if severity == "error"}) > 5


def info(**entries: Any) -> Spoil:
    return lambda root: edit_info(root, **entries)


def named(names: object) -> Spoil:
    """The elements of the action."""
    return lambda root: edit_json(root / "meta/info.json", lambda i: i["features"]["action"].update(names=names))


def table(change: Callable[[pa.Table], pa.Table], name: str = DATA) -> Spoil:
    return lambda root: edit_parquet(root / name, change)


def column(name: str, values: Iterable[Any], file: str = DATA) -> Spoil:
    return table(lambda t: with_column(t, name, values), file)


def words(name: str) -> Spoil:
    """For a number in episode 3's row of meta/episodes."""
    return table(lambda t: t.set_column(t.column_names.index(name), name, pa.array(["many"])), ROW)


def left_over(root: Path) -> None:
    edit_info(root, total_episodes=9, total_frames=540, splits={"train": "0:9"})
    (root / STATISTICS).unlink()


def off_by_one(key: str) -> Spoil:
    def change(statistics: dict[str, Any]) -> None:
        statistics["action"][key][0] += 1

    return lambda root: edit_json(root / STATISTICS, change)


def statistics_that_cannot_be(statistics: dict[str, Any]) -> None:
    del statistics["camera"]
    statistics["observation.state"]["q50"] = statistics["observation.state"]["max"]


def with_strays(rows: pa.Table) -> pa.Table:
    return pa.concat_tables([rows, with_column(rows.slice(0, 5), "episode_index", [7] * 5)])


def of_task(number: int) -> Spoil:
    return column("task_index", [number] * 60)


def error(check: str, episode: int | None = None) -> list[Expected]:
    return [("error", check, episode)]


SPOILT: dict[str, tuple[Spoil, list[Expected], str]] = {
    **{f"{name} is missing": (lambda root, n=name: (root / n).unlink(), error("files", 3), name)
       for name in (DATA, VIDEO, ROW)},
    **{f"{name} is cut": (lambda root, n=name: cut(root / n), error("files", 3), name) for name in (DATA, VIDEO, ROW)},
    **{f"{name} is missing": (lambda root, n=name: (root / n).unlink(), error("files"), name)
       for name in (TASKS, STATISTICS)},
    **{f"{name} is cut": (lambda root, n=name: cut(root / n), error("files"), name) for name in (TASKS, STATISTICS)},
    "rows in all": (info(total_frames=601), error("totals"), "total_frames 601 | 600"),
    "tasks in all": (info(total_tasks=3), error("totals"), "total_tasks 3 | meta/tasks.parquet | 2"),
    "a split too long": (info(splits={"train": "0:11"}), [("warning", "totals", None)], "'train' | '0:11' | 10"),
    **{f"words for {n}": (words(n), error("files", 3), ROW)
       for n in ("length", "dataset_from_index", "videos/camera/to_timestamp")},
    "an episode too few": (info(total_episodes=11), error("files", 10), "meta/episodes"),
    "left over by a crash": (left_over, [*error("files"), ("warning", "leftovers", None)], "2 files"),
    "a row too few": (table(lambda t: t.slice(0, 59)), error("rows", 3), "59 rows | meta/episodes | 60"),
    "rows of another episode": (table(with_strays), error("files", 3), "5 rows of no episode"),
    "a name too few": (named(["a", "b"]), error("names"), "2 names | 3 elements"),
    "a name too many": (named({"motors": ["a", "b", "c", "d"]}), error("names"), "4 names | 3 elements"),
    "a name twice": (named(["a", "b", "a"]), error("names"), "'a' more than once"),
    "tasks in another order": (table(lambda t: t.take([1, 0]), TASKS), error("tasks"), "task_index [1, 0]"),
    "tasks pandas cannot find": (table(lambda t: t.replace_schema_metadata({}), TASKS), error("tasks"), TASKS),
    "another episode's task": (of_task(0), error("tasks", 3), "task_index 0 ('return') | meta/episodes | 'reach'"),
    "no task": (of_task(7), error("tasks", 3), "task_index 7 ('no task') | meta/episodes | 'reach'"),
    "a frame left out": (column("frame_index", [*range(30), *range(31, 61)]), error("index", 3),
                         "frame_index is 31 | step 30 | expected 30 | 30 of 60"),
    "a step of the next": (column("episode_index", [3] * 59 + [4]), error("index", 3),
                           "episode_index is 4 | step 59 | expected 3 | 1 of 60"),
    "index one too high": (column("index", range(181, 241)), error("index", 3),
                           "index is 181 | step 0 | expected 180 | 60 of 60"),
    "another rate": (column("timestamp", np.arange(60) / 10.1), error("index", 3), "timestamp | 59 of 60"),
    "no time": (column("timestamp", [0.0, np.nan, *np.arange(2, 60) / 10]), error("index", 3),
                "timestamp is nan | step 1 | expected 0.1"),
    **{f"another {key}": (off_by_one(key), error("statistics"), f"action | {key}")
       for key in ("count", "min", "max", "mean", "std")},
    "impossible statistics": (lambda root: edit_json(root / STATISTICS, statistics_that_cannot_be),
                              error("statistics") * 2, "camera | observation.state | q50 | q90"),
    "another episode's": (column("stats/camera/mean", [[[[0.9]], [[0.9]], [[0.9]]]], ROW), error("statistics", 3),
                          "camera"),
}  # fmt: skip
"""What is done to a clean dataset, all that is found then, and the names that are told."""


@pytest.mark.parametrize(("spoil", "expected", "told"), SPOILT.values(), ids=SPOILT.keys())
def test_what_is_spoilt_is_found_and_nothing_else(dataset: Path, demonstrations, spoil: Spoil, expected, told: str):
    spoil(dataset)
    found, said = demonstrations.check(dataset)
    assert found == expected
    assert not lacking(told, said)


@pytest.mark.parametrize(("name", "value"), [("dataset_from_index", 181), ("dataset_to_index", 239)])
def test_episodes_that_do_not_follow_on(dataset: Path, demonstrations, name: str, value: int):
    column(name, [value], ROW)(dataset)
    found, said = demonstrations.check(dataset)
    assert ("error", "totals", 3) in found
    assert {(check, episode) for _, check, episode in found} <= {("totals", 3), ("totals", 4), ("index", 3)}
    assert not lacking(f"{value} | 60 steps", said)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.drop_columns("action"), "'action' | meta/info.json"),
        (lambda t: t.append_column("force", t["index"]), "'force' | meta/info.json"),
        (lambda t: t.set_column(0, "action", pa.array([[0.0] * 4] * 60, pa.list_(pa.float32(), 4))), "4 | (3,)"),
        (lambda t: t.set_column(0, "action", t["action"].cast(pa.list_(pa.float64(), 3))), "double | float32"),
        (lambda t: with_column(t, "action", [None, *t["action"].to_pylist()[1:]]), "'action' | 1 rows"),
    ],
    ids=["missing", "undeclared", "shape", "type", "empty"],
)
def test_columns_that_are_not_as_declared(dataset: Path, demonstrations, change, told: str):
    edit_parquet(dataset / DATA, change)
    found, said = demonstrations.check(dataset)
    assert set(found) == set(error("files", 3))
    assert not lacking(told, said)


def test_a_dataset_without_episodes_is_not_whole(tmp_path: Path, demonstrations):
    found, said = demonstrations.check(demonstrations.save(tmp_path / "d", []))
    assert found == error("totals")
    assert "no episode" in said
