"""The cache of frames: decoded once, shared, and never stale."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting_dataset import load, make_episode
from full_disk import file_size_limit

from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.video import write_video
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.training.frame_cache import cached_frames, default_folder
from isthmus_datasets.training.windows import WindowConfig


class Counting(DatasetReader):
    """Counts the episodes that it decodes."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.decoded: list[int] = []

    def frames(self, index: int, camera: str, rows: Any = None) -> np.ndarray:
        self.decoded.append(index)
        return super().frames(index, camera, rows)


def shades(frames: np.ndarray) -> list[int]:
    """Grey level of every frame."""
    return frames.mean(axis=(1, 2, 3)).round().astype(int).tolist()


def files(root: Path, camera: str = "front") -> list[str]:
    return sorted(path.suffix for path in (default_folder(root) / camera).iterdir() if path.name != ".lock")


def test_frames_are_decoded_once_and_shared(root: Path):
    first, second = Counting(root), Counting(root)
    frames = cached_frames(first, "front")
    assert frames.shape == (11, 16, 32, 3)
    assert not frames.flags.writeable
    assert cached_frames(second, "front").tobytes() == frames.tobytes()
    assert (first.decoded, second.decoded) == ([0, 1, 2], [])
    assert files(root) == [".json", ".u8"]
    assert sorted(path.name for path in root.iterdir()) == [".lock", "data", "meta", "videos"], "LeRobot's, untouched"


def test_a_changed_video_is_decoded_anew_and_only_that(root: Path, tmp_path: Path):
    before = shades(cached_frames(DatasetReader(root), "front"))
    other = np.full((1, 16, 32, 3), 250, np.uint8)
    write_video(root / "videos/front/chunk-000/file-001.mp4", other, fps=10)
    reader = Counting(root)
    after = shades(cached_frames(reader, "front"))
    assert before[4] < 200 < after[4]
    assert after[:4] + after[5:] == before[:4] + before[5:]
    assert reader.decoded == [1]
    assert files(root) == [".json", ".u8"], "what is stale is removed"


def test_an_episode_more_costs_one_episode(root: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", logger="isthmus_datasets")
    before = shades(cached_frames(DatasetReader(root), "front"))
    with DatasetWriter.open(root) as writer:
        writer.append(make_episode(3, 5))
    reader = Counting(root)
    after = shades(cached_frames(reader, "front"))
    assert (after[:11], len(after), reader.decoded) == (before, 16, [3])
    assert [text.partition(", in ")[0] for text in caplog.messages] == [
        "front: 11 frames decoded, 0 kept",
        "front: 5 frames decoded, 11 kept",
    ]


def test_a_video_that_changes_while_it_is_decoded_is_not_kept(root: Path):
    class Changing(Counting):
        def frames(self, index: int, camera: str, rows: Any = None) -> np.ndarray:
            os.utime(root / "videos/front/chunk-000/file-000.mp4", ns=(0, 10**9 * index))
            return super().frames(index, camera, rows)

    with pytest.raises(DatasetError, match="videos of 'front' changed while they were decoded"):
        cached_frames(Changing(root), "front")
    assert files(root) == []


SCRIPT = """
import os, signal, sys
from pathlib import Path
from isthmus_datasets.training.frame_cache import cached_frames
from isthmus_datasets.format.reader import DatasetReader

class Reader(DatasetReader):
    decoded = 0
    def frames(self, *args):
        if self.decoded == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        self.decoded += 1
        return super().frames(*args)

reader = Reader(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read(1)
cached_frames(reader, "front")
print(reader.decoded)
"""


def start(root: Path, *, die_at: int = -1) -> subprocess.Popen[str]:
    """A process that fills the cache when it is told to, and is killed before it decodes so many episodes more."""
    command = [sys.executable, "-c", SCRIPT, str(root), str(die_at)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_killed_build_is_not_taken_for_a_whole_one(root: Path):
    process = start(root, die_at=2)
    process.communicate("x", timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert (default_folder(root) / "front" / ".partial").stat().st_size == 11 * 16 * 32 * 3, "as large as a whole one"
    reader = Counting(root)
    frames = cached_frames(reader, "front")
    assert reader.decoded == [0, 1, 2]
    for row in reader.episodes:
        part = frames[row.first : row.first + row.length]
        np.testing.assert_array_equal(part, reader.frames(row.index, "front"))
    assert files(root) == [".json", ".u8"]


def test_of_two_processes_one_decodes(root: Path):
    both = [start(root) for _ in range(2)]
    for process in both:
        assert process.stdin
        process.stdin.write("x")
        process.stdin.flush()
    counts = [int(process.communicate(timeout=60)[0]) for process in both]
    assert sorted(counts) == [0, 3]
    assert files(root) == [".json", ".u8"]


def test_a_cache_file_cut_short_is_made_anew(root: Path):
    cached_frames(DatasetReader(root), "front")
    (path,) = (default_folder(root) / "front").glob("*.u8")
    path.write_bytes(path.read_bytes()[:-1])
    reader = Counting(root)
    assert min(shades(cached_frames(reader, "front"))) > 0
    assert reader.decoded == [0, 1, 2]


def test_a_full_disk_is_named_before_anything_is_decoded(root: Path):
    reader = Counting(root)
    message = r"could not write 1.69e-05 GB of decoded frames to .*data.frames/front"
    with file_size_limit(10_000), pytest.raises(OSError, match=message) as caught:
        cached_frames(reader, "front")
    assert "GB free: free some, or give another folder" in str(caught.value)
    assert reader.decoded == []
    assert files(root) == []


def test_the_cache_can_be_elsewhere(root: Path, tmp_path: Path):
    loader = load(DatasetReader(root), WindowConfig(cameras={"front": (0, 0)}), cache=tmp_path / "elsewhere")
    assert len(next(iter(loader))["front"]) == 4
    assert list((tmp_path / "elsewhere/front").glob("*.u8"))
    assert not default_folder(root).exists()


def test_damage_names_file_and_episode(root: Path):
    video = root / "videos/wrist/chunk-000/file-002.mp4"
    content = video.read_bytes()
    video.unlink()
    with pytest.raises(DatasetError, match=r"wrist/chunk-000/file-002.mp4 is missing: .*episode 2"):
        cached_frames(DatasetReader(root), "wrist")
    video.write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match=r"episode 2: .*file-002.mp4 (is not a whole video|lacks)"):
        cached_frames(DatasetReader(root), "wrist")
    write_video(video, np.zeros((6, 16, 16, 3), np.uint8), fps=10)
    with pytest.raises(DatasetError, match=r"episode 2: the video of 'wrist' has shape \(6, 16, 16, 3\), declared"):
        cached_frames(DatasetReader(root), "wrist")
    assert files(root, "wrist") == []
