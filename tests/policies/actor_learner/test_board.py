"""The actor reads whole policies only, whatever the learner is at."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from isthmus_policies.actor_learner.board import PolicyBoard
from isthmus_policies.actor_learner.shared_file import ExchangeError

SHAPES = {"actor.weight": torch.zeros(300, 200), "actor.count": torch.zeros((), dtype=torch.float64)}
WRITER = """
import itertools, sys
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[2])
from test_board import SHAPES
from isthmus_policies.actor_learner.board import PolicyBoard
board = PolicyBoard(Path(sys.argv[1]), SHAPES, write=True)
for number in itertools.count(1):
    board.write({name: torch.full_like(value, number) for name, value in SHAPES.items()})
    if number == 3:
        print("begun", flush=True)
"""


def test_the_newest_policy_is_read(tmp_path: Path):
    learner, actor = PolicyBoard(tmp_path, SHAPES, write=True), PolicyBoard(tmp_path, SHAPES, write=False)
    assert actor.version == 0
    assert actor.read() is None
    for number in (1.0, 2.0, 3.0):
        learner.write({name: torch.full_like(value, number) for name, value in SHAPES.items()})
        read = actor.read()
        assert read is not None
        assert actor.version == number
        assert all((read[name] == number).all() and read[name].dtype == SHAPES[name].dtype for name in SHAPES)


def test_no_policy_is_half_of_one_and_half_of_another(tmp_path: Path):
    """The writer does nothing but write, and is killed at last; what it wrote last stays."""
    here = str(Path(__file__).parent)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), here], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"begun\n"
    board = PolicyBoard(tmp_path, SHAPES, write=False)
    seen: set[float] = set()
    while len(seen) < 50:
        assert writer.poll() is None
        if (read := board.read()) is not None:
            number = float(read["actor.count"])
            assert bool((read["actor.weight"] == number).all())
            seen.add(number)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    read = board.read()
    assert read is not None
    assert float(read["actor.count"]) == board.version
    assert bool((read["actor.weight"] == float(read["actor.count"])).all())


def test_how_long_the_learner_was_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    board = PolicyBoard(tmp_path, SHAPES, write=True)
    monkeypatch.setattr("time.monotonic_ns", lambda: 5_000_000_000)
    board.beat()
    monkeypatch.setattr("time.monotonic_ns", lambda: 7_500_000_000)
    assert board.silence_s == pytest.approx(2.5)


def test_two_learners_do_not_share_an_exchange(tmp_path: Path):
    first = PolicyBoard(tmp_path, SHAPES, write=True)
    with pytest.raises(ExchangeError, match="has a learner already: stop that one first"):
        PolicyBoard(tmp_path, SHAPES, write=True)
    first.close()
    with pytest.raises(ExchangeError, match=r"another learner's: tensors\.actor\.weight"):
        PolicyBoard(tmp_path, SHAPES | {"actor.weight": torch.zeros(300, 100)}, write=False)


def test_an_actor_waits_for_no_learner_that_never_began(tmp_path: Path):
    with pytest.raises(ExchangeError, match="is not there: start the learner first"):
        PolicyBoard(tmp_path, SHAPES, write=False)
