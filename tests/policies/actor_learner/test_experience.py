"""What a robot has done outlives the processes that wrote and read it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_policies.actor_learner.experience import FILE, Experience
from isthmus_policies.actor_learner.shared_file import HEADER, ExchangeError
from isthmus_sim.task import Group
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.push_t import PushTConfig

TASK = make_task("push_t")
GROUPS = {"actor": Group(shape=(3,)), "image": Group(shape=(2, 2, 3), dtype="uint8")}
WRITER = """
import itertools, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_experience import row, opened
with_writer = opened(Path(sys.argv[1]), capacity=50, write=True)
for number in itertools.count(len(with_writer)):
    with_writer.write(row(number))
    if number == 20:
        print("begun", flush=True)
"""


def row(number: int, **flags: bool) -> Mapping[str, Any]:
    """All numbers of the control step say which one it is."""
    seen = {"actor": np.full(3, number, np.float32), "image": np.full((2, 2, 3), number % 256, np.uint8)}
    after = {"actor": np.full(3, number + 1, np.float32), "image": np.full((2, 2, 3), (number + 1) % 256, np.uint8)}
    return {"before": seen, "after": after, "action": np.full(2, number, np.float32), "reward": number, **flags}


def opened(folder: Path, *, capacity: int = 10, make: bool = True, write: bool = False) -> Experience:
    return Experience(folder, TASK, GROUPS, capacity, make=make, write=write)


def require_whole(rows: np.ndarray, first: int) -> None:
    for number, each in enumerate(rows, start=first):
        assert (each["before"]["actor"] == number).all()
        assert (each["after"]["actor"] == number + 1).all()
        assert (each["before"]["image"] == number % 256).all()
        assert (each["action"] == number).all()
        assert each["reward"] == number


def test_what_is_written_is_read(tmp_path: Path):
    writer, reader = opened(tmp_path, write=True), opened(tmp_path, make=False)
    writer.write(row(0, first=True))
    writer.write(row(1, terminated=True, succeeded=True))
    rows = reader.read(0, 100)
    require_whole(rows, 0)
    assert rows["first"].tolist() == [True, False]
    assert rows["terminated"].tolist() == rows["succeeded"].tolist() == [False, True]
    assert not rows["intervened"].any()
    assert len(reader.read(2, 100)) == 0


@given(written=st.integers(0, 35), most=st.integers(1, 15), data=st.data())
def test_the_last_ones_are_there(
    tmp_path_factory: pytest.TempPathFactory, written: int, most: int, data: st.DataObject
):
    experience = opened(tmp_path_factory.mktemp("ring"), write=True)
    for number in range(written):
        experience.write(row(number))
    first = data.draw(st.integers(0, written))
    if first < written - 10:
        with pytest.raises(ExchangeError, match=f"row {first} was overwritten, the oldest is {written - 10}"):
            experience.read(first, most)
    else:
        rows = experience.read(first, most)
        assert len(rows) == min(most, written - first)
        require_whole(rows, first)
    experience.close()


def test_whoever_is_killed_while_writing_loses_no_row_that_was_counted(tmp_path: Path):
    here = str(Path(__file__).parent)
    for _ in range(2):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), here], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        if len(list(tmp_path.iterdir())) == 0 or len(opened(tmp_path, capacity=50)) <= 20:
            assert writer.stdout.readline() == b"begun\n"
        else:
            before = len(opened(tmp_path, capacity=50))
            while len(opened(tmp_path, capacity=50)) < before + 100:
                assert writer.poll() is None
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        experience = opened(tmp_path, capacity=50, make=False)
        there = len(experience)
        require_whole(experience.read(max(0, there - 50), 50), max(0, there - 50))


def test_two_actors_do_not_write_into_one_file(tmp_path: Path):
    first = opened(tmp_path, write=True)
    with pytest.raises(ExchangeError, match="has an actor already: stop that one first"):
        opened(tmp_path, write=True)
    first.close()
    opened(tmp_path, write=True).close()


def test_a_file_that_is_not_there_or_damaged_is_named(tmp_path: Path):
    with pytest.raises(ExchangeError, match="is not there: start the learner first"):
        opened(tmp_path, make=False)
    opened(tmp_path, write=True).close()
    os.truncate(tmp_path / FILE, HEADER + 5000)
    with pytest.raises(ExchangeError, match="it was cut"):
        opened(tmp_path)
    (tmp_path / FILE).write_bytes(b"{]")
    with pytest.raises(ExchangeError, match="no file that actor and learner share"):
        opened(tmp_path)


def test_a_damaged_row_is_not_learned_from(tmp_path: Path):
    writer = opened(tmp_path, write=True)
    writer.write(row(0))
    content = bytearray((tmp_path / FILE).read_bytes())
    content[HEADER + 4096 + 20] ^= 1
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ExchangeError, match="row 0 was overwritten while it was read, or is damaged"):
        opened(tmp_path, make=False).read(0, 1)


def test_what_was_done_in_another_task_is_refused(tmp_path: Path):
    opened(tmp_path, write=True).close()
    other = make_task("push_t", PushTConfig(episode_steps=7))
    with pytest.raises(ExchangeError, match=r"another learner's: config.episode_steps: .*take another folder"):
        Experience(tmp_path, other, GROUPS, 10, make=True, write=False)
    with pytest.raises(ExchangeError, match=r"capacity: 10, here 11"):
        opened(tmp_path, capacity=11)
