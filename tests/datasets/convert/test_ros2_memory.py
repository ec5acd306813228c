"""A long bag needs hardly more memory than a short one: 30 joints at 500 Hz, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_bags import SECOND, START, STATE, STORE, joints, moving, options, write_bag
from rosbags.rosbag2 import StoragePlugin, Writer

from isthmus_datasets.convert.importers.bags.number_rows import NumberRows
from isthmus_datasets.convert.importers.opening import open_source

RATE, JOINTS = 500, 30
SECONDS = 200
LIMIT_MB = 25
"""Of 100,000 messages the numbers alone are 24 MB. Two times of 8 bytes a message are to be kept."""
SCRIPT = """
import sys
from pathlib import Path
from isthmus_datasets.convert.importers.opening import open_source
from isthmus_datasets.convert.importers.source import ImportOptions
said = dict(topics={"observation.state": "/state"}, episodes=("/state:header.stamp.sec=0",))
asked = ImportOptions(fps=30, task="move", **said)
print(sum(episode.length for episode in open_source(Path(sys.argv[1]), asked).episodes))
status = Path("/proc/self/status").read_text()  # ru_maxrss would be the parent's, where that is larger
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""


def write(path: Path, seconds: int) -> Path:
    kind = "sensor_msgs/msg/JointState"
    names = [f"joint_{number}" for number in range(JOINTS)]
    message = STORE.serialize_cdr(joints(None, names, [0.0] * JOINTS), kind)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        state = writer.add_connection("/state", kind, typestore=STORE)
        for number in range(seconds * RATE):
            writer.write(state, START + number * SECOND // RATE, message)
    return path


def peak_mb(bag: Path) -> int:
    result = subprocess.run([sys.executable, "-c", SCRIPT, str(bag)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    rows, peak = map(int, result.stdout.split())
    assert rows > 25
    return peak


@pytest.mark.long
def test_memory_hardly_grows_with_a_bag(tmp_path: Path):
    short, long = write(tmp_path / "short", 2), write(tmp_path / "long", SECONDS)
    assert peak_mb(long) - peak_mb(short) < LIMIT_MB


def test_rows_that_were_put_on_the_disk_are_the_same(monkeypatch: pytest.MonkeyPatch):
    """In any order, of several blocks and of the one that is not full yet; integers stay exact."""
    monkeypatch.setattr("isthmus_datasets.convert.importers.bags.number_rows.BLOCK_BYTES", 100)
    monkeypatch.setattr("isthmus_datasets.convert.importers.bags.number_rows.IN_MEMORY_BYTES", 200)
    values = 2**53 + 1 + np.arange(201).reshape(67, 3)
    rows = NumberRows()
    for half in (values[:30], values[30:]):
        for row in half:
            rows.append(row.tolist())
        chosen = np.random.default_rng(0).integers(0, len(rows), 50)
        np.testing.assert_array_equal(rows.take(chosen), values[chosen])
    assert rows.dtype == np.int64
    rows.clear()
    rows.append([0.5, np.nan])
    assert rows.take(np.array([0]))[0, 0] == 0.5
    assert rows.ever().tolist() == [True, False]


def test_episodes_of_a_bag_that_is_longer_than_memory_have_their_own_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A joint's position is its time in ms."""
    monkeypatch.setattr("isthmus_datasets.convert.importers.bags.number_rows.BLOCK_BYTES", 64)
    monkeypatch.setattr("isthmus_datasets.convert.importers.bags.number_rows.IN_MEMORY_BYTES", 128)
    bag = write_bag(tmp_path / "bag", moving(range(0, 5000, 10)))
    (episode,) = open_source(bag, options(STATE)).episodes
    assert episode.columns["observation.state"][:, 0].tolist() == [float(t) for t in range(0, 5000, 100)]
