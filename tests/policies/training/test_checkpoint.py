"""A checkpoint is whole or it is refused: after kill -9, on a full disk, cut short, foreign."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from isthmus_policies.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from isthmus_sim.state_dicts import joined, part

TENSORS = {
    "a.weights": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)),
    "a.count": torch.tensor(7, dtype=torch.float64),
    "b.mask": torch.tensor([True, False]),
    "b.random": torch.Generator().manual_seed(1).get_state(),
}
FACTS = {"iteration": 12, "learning_rate": 0.1 + 0.2, "config": {"layers": [64, 64]}, "name": "π"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A whole checkpoint."""
    file = tmp_path / "checkpoint.safetensors"
    save_checkpoint(file, TENSORS, FACTS)
    return file


def test_what_was_saved_is_loaded_bit_for_bit(path: Path):
    tensors, facts = load_checkpoint(path)
    assert facts == FACTS
    assert set(tensors) == set(TENSORS)
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype
        assert torch.equal(tensors[name], value)
    assert set(part(tensors, "a")) == {"weights", "count"}


def test_views_and_tensors_that_share_memory_can_be_saved(path: Path):
    """safetensors itself refuses both."""
    whole = torch.arange(12.0).reshape(3, 4)
    save_checkpoint(path, {"row": whole[1], "column": whole[:, 1], "again": whole}, {})
    tensors, _ = load_checkpoint(path)
    assert torch.equal(tensors["column"], whole[:, 1])
    assert torch.equal(tensors["again"], whole)


def test_parts_are_joined_and_taken_apart():
    whole = joined(a={"x": torch.ones(1)}, b={"x": torch.zeros(1), "y.z": torch.ones(2)})
    assert set(whole) == {"a.x", "b.x", "b.y.z"}
    assert set(part(whole, "b")) == {"x", "y.z"}


# Refusals
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("share", [0.0, 0.0001, 0.05, 0.5, 0.999])
def test_a_truncated_file_is_refused_by_name(path: Path, share: float):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=f"{path.name} is not a whole safetensors file"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "content", [b"hello, I am text" * 10, b"PK\x03\x04" + bytes(200), b"\x80\x04pickle" + bytes(99)]
)
def test_a_foreign_file_is_refused_by_name(path: Path, content: bytes):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=path.name):
        load_checkpoint(path)


def test_another_format_is_refused_with_both_names_and_who_wrote_it(path: Path):
    """An old run is not guessed at: the revision that wrote it can read it."""
    facts = json.dumps({"code_revision": "0123abc"})
    save_file({"a": torch.zeros(1)}, path, {"format": "isthmus.checkpoint.1", "facts": facts})
    with pytest.raises(CheckpointError, match=r"'isthmus\.checkpoint\.1', expected 'isthmus\.checkpoint\.2'.*0123abc"):
        load_checkpoint(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="format None"):
        load_checkpoint(path)


def test_no_checkpoint_is_said_so(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*nothing\.safetensors"):
        load_checkpoint(tmp_path / "nothing.safetensors")


# Real processes
# ---------------------------------------------------------------------------------------------------------------------
# Python and torch start once; every save happens in a child that is killed for real, and another takes its place.
SAVE_UNTIL_KILLED = """
import os, sys, torch
from pathlib import Path
from isthmus_policies.training.checkpoint import save_checkpoint
torch.set_num_threads(1)
n = 0
while True:
    n += 1_000_000
    child = os.fork()
    while child == 0:
        n += 1
        save_checkpoint(Path(sys.argv[1]), {f"t{i}": torch.full((1000,), float(n)) for i in range(200)}, {"n": n})
        print(os.getpid(), n, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""

SAVE_WITH_A_SMALL_LIMIT = """
import resource, sys, torch
from pathlib import Path
from isthmus_policies.training.checkpoint import save_checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    save_checkpoint(Path(sys.argv[1]), {"big": torch.zeros(100_000)}, {"n": 2})
except OSError as error:
    sys.exit(f"OSError: {error}")
"""


@pytest.fixture
def saver(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SAVE_UNTIL_KILLED, str(tmp_path / "checkpoint.safetensors")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        yield process
        os.killpg(process.pid, signal.SIGKILL)


def test_killed_at_any_moment_the_checkpoint_loads(saver: subprocess.Popen[str], tmp_path: Path):
    """Processes save without pause and are killed at random moments until ten were hit in the middle of a write. What
    is then on disk is one whole state, not older than the last that was reported done."""
    path, moments = tmp_path / "checkpoint.safetensors", random.Random(0)
    assert saver.stdout is not None
    hits = 0
    for _ in range(300):
        line = saver.stdout.readline()
        begun = time.monotonic()
        line = saver.stdout.readline()
        a_save_takes = time.monotonic() - begun
        child, reported = (int(word) for word in line.split())
        time.sleep(moments.uniform(0, a_save_takes))  # the moment is the point, nothing is waited for
        os.kill(child, signal.SIGKILL)
        while not (line := saver.stdout.readline()).endswith("dead\n"):  # it may have died within a line of its own
            assert line, "the saver has ended"
        hits += path.with_name(path.name + ".partial").exists()
        tensors, facts = load_checkpoint(path)
        assert facts["n"] >= reported
        values = torch.cat(list(tensors.values()))
        assert torch.equal(values, torch.full((200_000,), float(facts["n"])))
        if hits == 10:
            return
    pytest.fail(f"only {hits} of 300 kills hit a write: this shows little")


def test_a_full_disk_leaves_the_previous_checkpoint_and_no_rest(path: Path):
    """A real write that fails: the process may not write files beyond 20 kB."""
    before = path.read_bytes()
    result = subprocess.run(
        [sys.executable, "-c", SAVE_WITH_A_SMALL_LIMIT, str(path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert f"could not write {path}" in result.stderr
    assert "what was there before is untouched" in result.stderr
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    assert load_checkpoint(path)[1] == FACTS


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path):
    with pytest.raises(OSError, match=r"could not write .*nowhere"):
        save_checkpoint(tmp_path / "nowhere" / "checkpoint.safetensors", TENSORS, FACTS)
