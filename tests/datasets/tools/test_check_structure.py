"""Damage to files and to what they say of each other: exactly that is found, in the right episode."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from isthmus_datasets.format.features import Feature
from isthmus_datasets.tools.checks.column_roles import roles
from isthmus_datasets.tools.checks.suite import CHECKS, name_of
from isthmus_datasets.tools.scan.gather import gather

DATA = "data/chunk-000/file-003.parquet"
VIDEO = "videos/camera/chunk-000/file-003.mp4"
ROW = "meta/episodes/chunk-000/file-003.parquet"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


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


@pytest.mark.parametrize("damage", [Path.unlink, cut], ids=["missing", "truncated"])
@pytest.mark.parametrize("name", [DATA, VIDEO, ROW])
def test_a_missing_or_truncated_file_spoils_only_its_episode(dataset: Path, demonstrations, damage, name: str):
    damage(dataset / name)
    found, _ = demonstrations.check(dataset)
    assert found == [("error", "files", 3)]


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


@pytest.mark.parametrize("damage", [Path.unlink, cut], ids=["missing", "truncated"])
@pytest.mark.parametrize("name", ["meta/tasks.parquet", "meta/stats.json"])
def test_a_damaged_file_about_all_episodes(dataset: Path, demonstrations, damage, name: str):
    damage(dataset / name)
    found, said = demonstrations.check(dataset)
    assert found == [("error", "files", None)]
    assert name in said


@pytest.mark.parametrize(
    ("entries", "severity", "message"),
    [
        ({"total_frames": 601}, "error", "total_frames 601, the episodes have 600"),
        ({"total_tasks": 3}, "error", r"total_tasks 3, meta/tasks.parquet has 2"),
        ({"splits": {"train": "0:11"}}, "warning", "split 'train' is '0:11', there are 10 episodes"),
    ],
)
def test_totals_that_do_not_agree(dataset: Path, demonstrations, edit_info, entries, severity: str, message: str):
    edit_info(dataset, **entries)
    found, said = demonstrations.check(dataset)
    assert found == [(severity, "totals", None)]
    assert message in said


@pytest.mark.parametrize("column", ["length", "dataset_from_index", "videos/camera/to_timestamp"])
def test_a_row_of_meta_episodes_with_words_for_numbers(dataset: Path, demonstrations, edit_parquet, column: str):
    words = pa.array(["many"])
    edit_parquet(dataset / ROW, lambda t: t.set_column(t.column_names.index(column), column, words))
    found, said = demonstrations.check(dataset)
    assert found == [("error", "files", 3)]
    assert "meta/episodes/chunk-000/file-003.parquet is no meta/episodes of v3.0" in said


def test_an_episode_that_meta_episodes_lacks(dataset: Path, demonstrations, edit_info):
    edit_info(dataset, total_episodes=11)
    found, _ = demonstrations.check(dataset)
    assert found == [("error", "files", 10)]


def test_what_a_crash_left_over(dataset: Path, demonstrations, edit_info):
    edit_info(dataset, total_episodes=9, total_frames=540, splits={"train": "0:9"})
    (dataset / "meta/stats.json").unlink()
    found, said = demonstrations.check(dataset)
    assert found == [("error", "files", None), ("warning", "leftovers", None)]
    assert "2 files belong to no episode" in said


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("dataset_from_index", 181, "rows 181 to 240 (exclusive) are not its 60 steps"),
        ("dataset_to_index", 239, "rows 180 to 239 (exclusive) are not its 60 steps"),
    ],
)
def test_episodes_that_do_not_follow_on(
    dataset: Path, demonstrations, edit_parquet, with_column, name: str, value: int, message: str
):
    edit_parquet(dataset / ROW, lambda table: with_column(table, name, [value]))
    found, said = demonstrations.check(dataset)
    assert ("error", "totals", 3) in found
    assert {(check, episode) for _, check, episode in found} <= {("totals", 3), ("totals", 4), ("index", 3)}
    assert message in said


def test_a_row_too_few(dataset: Path, demonstrations, edit_parquet):
    edit_parquet(dataset / DATA, lambda table: table.slice(0, 59))
    found, said = demonstrations.check(dataset)
    assert found == [("error", "rows", 3)]
    assert "has 59 rows of it, meta/episodes says 60" in said


def test_rows_of_another_episode(dataset: Path, demonstrations, edit_parquet, with_column):
    def add(table: pa.Table) -> pa.Table:
        stray = table.slice(0, 5)
        return pa.concat_tables([table, with_column(stray, "episode_index", [7] * 5)])

    edit_parquet(dataset / DATA, add)
    found, said = demonstrations.check(dataset)
    assert found == [("error", "files", 3)]
    assert "5 rows of no episode that is in it" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns("action"), "lacks the column 'action' that meta/info.json declares"),
        (lambda t: t.append_column("force", t["index"]), "has the column 'force' that meta/info.json does not declare"),
        (
            lambda t: t.set_column(
                0, "action", pa.array(np.zeros((60, 4), np.float32).tolist(), pa.list_(pa.float32(), 4))
            ),
            "has 4 numbers a row, declared is shape (3,)",
        ),
        (
            lambda t: t.set_column(0, "action", t["action"].cast(pa.list_(pa.float64(), 3))),
            "holds double, declared is float32",
        ),
        (
            lambda t: t.set_column(0, "action", pa.array([None, *t["action"].to_pylist()[1:]], t.field(0).type)),
            "column 'action' has 1 rows without a value",
        ),
    ],
    ids=["missing", "undeclared", "shape", "type", "empty"],
)
def test_columns_that_are_not_as_declared(dataset: Path, demonstrations, edit_parquet, change, message: str):
    edit_parquet(dataset / DATA, change)
    found, said = demonstrations.check(dataset)
    assert set(found) == {("error", "files", 3)}
    assert message in said


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b"], "2 names for 3 elements"),
        ({"motors": ["a", "b", "c", "d"]}, "4 names for 3 elements"),
        (["a", "b", "a"], "the name 'a' more than once"),
    ],
)
def test_names_that_do_not_fit_the_elements(dataset: Path, demonstrations, edit_info, names, message: str):
    features = json.loads((dataset / "meta/info.json").read_text())["features"]
    features["action"]["names"] = names
    edit_info(dataset, features=features)
    found, said = demonstrations.check(dataset)
    assert found == [("error", "names", None)]
    assert message in said


def test_tasks_in_another_order_than_their_numbers(dataset: Path, demonstrations, edit_parquet):
    edit_parquet(dataset / "meta/tasks.parquet", lambda table: table.take([1, 0]))
    found, said = demonstrations.check(dataset)
    assert found == [("error", "tasks", None)]
    assert "task_index [1, 0]" in said


def test_tasks_that_pandas_does_not_find(dataset: Path, demonstrations, edit_parquet):
    edit_parquet(dataset / "meta/tasks.parquet", lambda table: table.replace_schema_metadata({}))
    found, _ = demonstrations.check(dataset)
    assert found == [("error", "tasks", None)]


@pytest.mark.parametrize(("number", "word"), [(0, "'return'"), (7, "'no task'")])
def test_rows_with_another_task_than_their_episode(
    dataset: Path, demonstrations, edit_parquet, with_column, number: int, word: str
):
    edit_parquet(dataset / DATA, lambda table: with_column(table, "task_index", [number] * 60))
    found, said = demonstrations.check(dataset)
    assert found == [("error", "tasks", 3)]
    assert f"task_index {number} ({word}), meta/episodes says 'reach'" in said


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("frame_index", [*range(30), *range(31, 61)], "frame_index is 31 at step 30, expected 30; wrong at 30 of 60"),
        ("episode_index", [3] * 59 + [4], "episode_index is 4 at step 59, expected 3; wrong at 1 of 60"),
        ("index", range(181, 241), "index is 181 at step 0, expected 180; wrong at 60 of 60"),
        ("timestamp", np.arange(60) / 10.1, "wrong at 59 of 60 steps"),
        ("timestamp", [0.0, np.nan, *np.arange(2, 60) / 10], "timestamp is nan at step 1, expected 0.1"),
    ],
)
def test_a_broken_index(dataset: Path, demonstrations, edit_parquet, with_column, name: str, values, message: str):
    edit_parquet(dataset / DATA, lambda table: with_column(table, name, list(values)))
    found, said = demonstrations.check(dataset)
    assert found == [("error", "index", 3)]
    assert message in said


@pytest.mark.parametrize("key", ["count", "min", "max", "mean", "std"])
def test_statistics_that_are_not_of_the_data(dataset: Path, demonstrations, key: str):
    path = dataset / "meta/stats.json"
    statistics = json.loads(path.read_text())
    statistics["action"][key][0] += 1
    path.write_text(json.dumps(statistics))
    found, said = demonstrations.check(dataset)
    assert found == [("error", "statistics", None)]
    assert f"action have {key}" in said


def test_statistics_that_are_missing_or_out_of_order(dataset: Path, demonstrations):
    path = dataset / "meta/stats.json"
    statistics = json.loads(path.read_text())
    del statistics["camera"]
    statistics["observation.state"]["q50"] = statistics["observation.state"]["max"]
    path.write_text(json.dumps(statistics))
    found, said = demonstrations.check(dataset)
    assert found == [("error", "statistics", None)] * 2
    assert "camera are missing" in said
    assert "observation.state have q50 above q90" in said


def test_statistics_of_an_episode_that_are_not_its_own(dataset: Path, demonstrations, edit_parquet, with_column):
    name = "stats/camera/mean"
    edit_parquet(dataset / ROW, lambda table: with_column(table, name, [[[[0.9]], [[0.9]], [[0.9]]]]))
    found, _ = demonstrations.check(dataset)
    assert found == [("error", "statistics", 3)]


def test_a_dataset_without_episodes_is_not_whole(tmp_path: Path, demonstrations):
    found, said = demonstrations.check(demonstrations.save(tmp_path / "d", []))
    assert found == [("error", "totals", None)]
    assert "says that there is no episode" in said
