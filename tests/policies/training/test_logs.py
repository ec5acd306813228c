"""Training curves survive an interruption: no row twice, none missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from isthmus_policies.training.logs import Log, read_metrics

COLUMNS = ("iteration", "steps", "score")


def row(iteration: int, score: float | None = 0.5) -> dict[str, float]:
    values = {"iteration": float(iteration), "steps": 1000.0 * (iteration + 1)}
    return values if score is None else values | {"score": score}


def curve(folder: Path) -> list[tuple[int, float]]:
    """What TensorBoard shows."""
    board = EventAccumulator(str(folder / "tensorboard"), purge_orphaned_data=True)
    board.Reload()
    return [(event.step, round(event.value, 4)) for event in board.Scalars("score")]


def test_rows_come_back_as_numbers(tmp_path: Path):
    log = Log(tmp_path, COLUMNS, 0)
    log.write(row(0, None))
    log.write(row(1, -1.25e-7) | {"not a column": 3.0})
    log.close()
    assert read_metrics(tmp_path) == [
        {"iteration": 0, "steps": 1000},
        {"iteration": 1, "steps": 2000, "score": -1.25e-7},
    ]
    assert (tmp_path / "metrics.csv").read_text().splitlines()[0] == "iteration,steps,score"


def test_a_row_is_on_disk_as_soon_as_it_is_written(tmp_path: Path):
    log = Log(tmp_path, COLUMNS, 0)
    log.write(row(0))
    assert len(read_metrics(tmp_path)) == 1
    log.close()


def test_going_on_drops_the_rows_that_will_be_made_again(tmp_path: Path):
    log = Log(tmp_path, COLUMNS, 0)
    for i in range(6):
        log.write(row(i, i))
    log.close()
    log = Log(tmp_path, COLUMNS, 4)  # the checkpoint was made after iteration 3
    assert [r["iteration"] for r in read_metrics(tmp_path)] == [0, 1, 2, 3]
    for i in range(4, 8):
        log.write(row(i, 10.0 * i))
    log.close()
    found = read_metrics(tmp_path)
    assert [r["iteration"] for r in found] == list(range(8))
    assert [r["score"] for r in found] == [0, 1, 2, 3, 40, 50, 60, 70]


def test_tensorboard_shows_one_curve_across_an_interruption(tmp_path: Path):
    """Its step is the number of environment steps."""
    log = Log(tmp_path, COLUMNS, 0)
    for i in range(6):
        log.write(row(i, i))
    log.close()
    log = Log(tmp_path, COLUMNS, 4)
    for i in range(4, 7):
        log.write(row(i, 10 * i))
    log.close()
    assert curve(tmp_path) == [(1000, 0), (2000, 1), (3000, 2), (4000, 3), (5000, 40), (6000, 50), (7000, 60)]


def test_a_new_run_begins_empty(tmp_path: Path):
    (tmp_path / "metrics.csv").write_text("iteration,steps,score\n0,1,2\n")
    Log(tmp_path, COLUMNS, 0).close()
    assert read_metrics(tmp_path) == []


@pytest.mark.parametrize("content", [None, "iteration,steps\n"])
def test_no_rows_are_no_rows(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "metrics.csv").write_text(content)
    assert read_metrics(tmp_path) == []
