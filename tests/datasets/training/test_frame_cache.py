"""The cache of frames: decoded once, shared, grown by whole episodes, and never stale."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting_dataset import append, whole, windows
from exact_dataset import DEPTH, EXACT, noise
from exact_dataset import write as write_exact
from full_disk import file_size_limit
from refusals import refused

from isthmus_datasets.format.images.video import write_video
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.training import frame_index
from isthmus_datasets.training.frame_cache import FrameCache, default_folder
from isthmus_datasets.training.frame_index import INDEX
from isthmus_datasets.training.windows import WindowConfig

FRAME = 3 * 16 * 32  # bytes of one of "front"


class Counting(DatasetReader):
    """Counts the episodes that it decodes."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.decoded: list[int] = []

    def stream(self, index: int, camera: str, **options: Any) -> Iterator[np.ndarray]:
        self.decoded.append(index)
        return super().stream(index, camera, **options)


def prepared(reader: DatasetReader, *episodes: int, camera: str = "front", **options: Any) -> FrameCache:
    """A cache with these episodes, or all."""
    cache = FrameCache(reader, camera, **options)
    cache.prepare(reader, episodes or range(reader.num_episodes))
    return cache


def settled() -> None:
    """Waits until all that was decoded has reached the disk, or has failed to."""
    for thread in threading.enumerate():
        if thread.name.startswith("settle"):
            thread.join()


def shades(cache: FrameCache, reader: DatasetReader, episode: int) -> list[int]:
    """Grey level of every frame of an episode."""
    start = cache.start(reader, episode)
    frames = cache.frames[start : start + reader.episodes[episode].length]
    return frames.mean(axis=(1, 2, 3)).round().astype(int).tolist()


def folder(root: Path, camera: str = "front", size: str = "16x32") -> Path:
    return default_folder(root) / camera / size


def files(root: Path) -> list[str]:
    return sorted(path.name for path in folder(root).iterdir() if path.name != ".lock")


def test_frames_are_decoded_once_and_shared(root: Path):
    first, second = Counting(root), Counting(root)
    cache = prepared(first)
    assert cache.frames.shape == (11, 3, 16, 32)
    assert not cache.frames.flags.writeable
    for row in first.episodes:
        start = cache.start(first, row.index)
        np.testing.assert_array_equal(
            cache.frames[start : start + row.length], first.frames(row.index, "front").transpose(0, 3, 1, 2)
        )
    assert prepared(second).frames.tobytes() == cache.frames.tobytes()
    assert (sorted(first.decoded), second.decoded) == ([0, 1, 2], [])
    assert files(root) == ["frames-0.u8", INDEX]
    assert sorted(path.name for path in root.iterdir()) == [".lock", "data", "meta", "videos"], "LeRobot's, untouched"


def test_only_what_is_asked_for_is_decoded_and_appended(root: Path):
    reader = Counting(root)
    prepared(reader, 2)
    data = folder(root) / "frames-0.u8"
    before = data.read_bytes()
    assert (reader.decoded, len(before)) == ([2], 6 * FRAME)
    cache = prepared(reader, 1, 2)
    assert (reader.decoded, cache.start(reader, 2), cache.start(reader, 1)) == ([2, 1], 0, 6)
    assert data.read_bytes()[: len(before)] == before
    append(root, 5)
    grown = Counting(root)
    prepared(grown)
    assert sorted(grown.decoded) == [0, 3]


def test_a_changed_video_is_decoded_anew_and_only_that(root: Path):
    reader = DatasetReader(root)
    before = [shades(prepared(reader), reader, episode) for episode in range(3)]
    write_video(root / "videos/front/chunk-000/file-001.mp4", np.full((1, 16, 32, 3), 250, np.uint8), fps=10)
    changed = Counting(root)
    after = [shades(prepared(changed), changed, episode) for episode in range(3)]
    assert before[1][0] < 200 < after[1][0]
    assert [after[0], after[2]] == [before[0], before[2]]
    assert changed.decoded == [1]


def test_each_resolution_has_a_file_of_its_own(root: Path):
    reader = DatasetReader(root)
    own, small = prepared(reader), prepared(reader, size=(8, 8))
    assert small.frames.shape == (11, 3, 8, 8)
    assert (folder(root, size="8x8") / "frames-0.u8").stat().st_size == 11 * 3 * 8 * 8
    assert shades(small, reader, 2) == pytest.approx(shades(own, reader, 2), abs=1)


def test_a_limit_lets_go_of_what_is_not_wanted_or_refuses(root: Path):
    reader = Counting(root)
    early = prepared(reader, 0, limit=7 * FRAME)
    kept = early.frames[:4].copy()
    later = prepared(reader, 2, limit=7 * FRAME)
    assert files(root) == ["frames-1.u8", INDEX]
    assert (folder(root) / "frames-1.u8").stat().st_size == 6 * FRAME
    assert shades(later, reader, 2)[0] > 0
    np.testing.assert_array_equal(early.frames[:4], kept, "who has the old file mapped keeps it")
    with refused("data | 'front' | 3 episodes | 1.69e-05 GB | 16 × 32 | 1.08e-05 GB"):
        prepared(reader, limit=7 * FRAME)


def test_a_cache_of_something_else_is_refused(root: Path):
    reader = DatasetReader(root)
    prepared(reader)
    index = folder(root) / INDEX
    index.write_text(index.read_text().replace('"dataset": "data"', '"dataset": "other"'))
    with refused("16x32 | 'other' | 'data' | delete"):
        FrameCache(reader, "front")


def test_an_index_that_says_nothing_is_refused(root: Path):
    reader = DatasetReader(root)
    prepared(reader)
    settled()
    (folder(root) / INDEX).write_bytes(b"")
    with refused("16x32 | {} | delete"):
        FrameCache(reader, "front")


def test_a_video_that_changes_while_it_is_decoded_is_not_kept(root: Path):
    class Changing(Counting):
        def stream(self, index: int, camera: str, **options: Any) -> Iterator[np.ndarray]:
            os.utime(root / f"videos/front/chunk-000/file-{index:03d}.mp4", ns=(0, 10**9))
            return super().stream(index, camera, **options)

    with refused("'front' | changed"):
        prepared(Changing(root))
    reader = Counting(root)
    prepared(reader)
    assert sorted(reader.decoded) == [0, 1, 2]


SCRIPT = """
import os, signal, sys, threading
from pathlib import Path
from isthmus_datasets.training.frame_cache import FrameCache
from isthmus_datasets.format.reader import DatasetReader

class Reader(DatasetReader):
    decoded = 0
    def stream(self, index, camera, **options):
        if index == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        self.decoded += 1
        return super().stream(index, camera, **options)

reader = Reader(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read(1)
FrameCache(reader, "front").prepare(reader, range(reader.num_episodes))
print(reader.decoded)
"""


def start(root: Path, *, die_at: int = -1) -> subprocess.Popen[str]:
    """A process that fills the cache when it is told to, and is killed before it decodes that episode."""
    command = [sys.executable, "-c", SCRIPT, str(root), str(die_at)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def test_what_a_killed_process_had_begun_is_written_over(root: Path):
    process = start(root, die_at=2)
    process.communicate("x", timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert (folder(root) / "frames-0.u8").stat().st_size == 11 * FRAME, "as large as a whole one"
    with (folder(root) / INDEX).open("ab") as index:
        index.write(b'{"part": ["vid')
    reader = Counting(root)
    cache = prepared(reader)
    assert 2 in reader.decoded
    for row in reader.episodes:
        first = cache.start(reader, row.index)
        np.testing.assert_array_equal(
            cache.frames[first : first + row.length], reader.frames(row.index, "front").transpose(0, 3, 1, 2)
        )
    assert prepared(Counting(root)).frames.shape == (11, 3, 16, 32)
    assert files(root) == ["frames-0.u8", INDEX]


def test_of_two_processes_one_decodes(root: Path):
    both = [start(root) for _ in range(2)]
    for process in both:
        assert process.stdin
        process.stdin.write("x")
        process.stdin.flush()
    counts = [int(process.communicate(timeout=60)[0]) for process in both]
    assert sorted(counts) == [0, 3]


def test_frames_that_the_file_has_lost_are_decoded_anew(root: Path):
    prepared(DatasetReader(root))
    path = folder(root) / "frames-0.u8"
    path.write_bytes(path.read_bytes()[:-1])
    reader = Counting(root)
    cache = prepared(reader)
    assert len(reader.decoded) == 1
    assert min(min(shades(cache, reader, episode)) for episode in range(3)) > 0


def broken_disk(_: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def decoded(root: Path, *episodes: int) -> list[int]:
    """Those of the episodes, or of all, that a process which asks for them has to decode."""
    reader = Counting(root)
    cache = prepared(reader, *episodes)
    settled()
    for row in reader.episodes:
        if row.index in (episodes or range(reader.num_episodes)):
            assert len(set(shades(cache, reader, row.index))) == row.length, "none is black"
    return sorted(reader.decoded)


def test_after_a_restart_only_frames_that_had_reached_the_disk_count(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    assert decoded(root, 0) == [0]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken_disk)
        assert decoded(root, 0, 1) == [1]
    assert "did not reach the disk (Input/output error)" in caplog.text
    whole = shutil.copytree(default_folder(root), root.with_name("kept"))
    assert decoded(root) == [2], "another process sees what was written"
    monkeypatch.setattr(frame_index, "_BOOT", "another")
    assert decoded(root) == [], "and brings it to the disk"
    shutil.rmtree(default_folder(root))
    whole.rename(default_folder(root))
    assert decoded(root, 0) == []
    assert decoded(root) == [1, 2]
    monkeypatch.setattr(frame_index, "_BOOT", "yet another")
    assert decoded(root) == []


def test_a_full_disk_is_named_before_anything_is_decoded(root: Path):
    reader = Counting(root)
    with file_size_limit(10_000), refused("1.69e-05 GB | data.frames/front/16x32 | another folder", OSError):
        prepared(reader)
    assert reader.decoded == []


def test_the_cache_can_be_elsewhere_for_datasets_of_the_same_name_too(root: Path, tmp_path: Path):
    reader = DatasetReader(root)
    prepared(reader, cache=tmp_path / "elsewhere")
    (own,) = (tmp_path / "elsewhere").iterdir()
    assert own.name.startswith("data-")
    assert (own / "front/16x32/frames-0.u8").exists()
    assert not default_folder(root).exists()


def test_damage_names_file_and_episode(root: Path):
    video = root / "videos/wrist/chunk-000/file-002.mp4"
    content = video.read_bytes()
    video.unlink()
    with refused("wrist/chunk-000/file-002.mp4 is missing | episode 2"):
        prepared(DatasetReader(root), camera="wrist")
    video.write_bytes(content[: len(content) // 2])
    with refused("wrist/chunk-000/file-002.mp4 | episode 2"):
        prepared(DatasetReader(root), camera="wrist")
    write_video(video, np.zeros((6, 16, 16, 3), np.uint8), fps=10)
    with refused("episode 2 | file-002.mp4 | (16, 16, 3)"):
        prepared(DatasetReader(root), camera="wrist", size=(8, 8))


def test_depths_are_refused_and_rgb_without_loss_is_not(tmp_path: Path):
    reader = DatasetReader(write_exact(tmp_path / "data"))
    with refused(f"{DEPTH} | RGB"):
        windows(reader, WindowConfig(columns={"action": (0, 0)}, cameras={DEPTH: (0, 0)}))
    batch = whole(windows(reader, WindowConfig(columns={"action": (0, 0)}, cameras={EXACT: (0, 0)})))
    np.testing.assert_array_equal(batch[EXACT][:5, 0], noise(EXACT, 0, 5).transpose(0, 3, 1, 2))
