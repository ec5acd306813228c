"""What stands where in a cache's file of frames, and whether it outlives a power cut."""

from __future__ import annotations

import json
import logging
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from isthmus_datasets.format.files import replace_file
from isthmus_datasets.format.info import DatasetError

Part = tuple[str, int, int, int, int]
"""Where an episode's frames are: file below the dataset's folder, its size, time of change in ns, first row, length."""
INDEX = "index.jsonl"
_BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class FrameIndex:
    """On disk: a line that says whose frames these are, then one an episode, and one whenever all frames up to a number
    have reached the disk. Until then an episode counts as long as the machine runs that wrote it: what one process has
    written is there for all, whatever happens to it, and only a machine that stops loses it. So nobody waits.

    Args:
        data: Name of the file of frames.
        starts: Episode's part -> number of its first frame.
        settled: Whether all of them have reached the disk.
    """

    data: str = "frames-0.u8"
    starts: dict[Part, int] = field(default_factory=dict)
    settled: bool = True

    @classmethod
    def read(cls, folder: Path, about: dict[str, Any], frame_bytes: int) -> FrameIndex:
        """What counts: no line that a crash has torn, no frames that the file does not have or may have lost.

        Raises:
            DatasetError: the frames are of something else than `about`.
        """
        path = folder / INDEX
        if not path.exists():
            return cls()
        there, *lines = [line for line in map(_parsed, path.read_bytes().splitlines()) if line is not None] or [{}]
        index = cls(data=str(there.pop("data", "")))
        if there != about:
            raise DatasetError(
                f"{folder} holds frames of {there}, wanted are {about}: delete it, or give another folder"
            )
        data = folder / index.data
        whole = data.stat().st_size // frame_bytes if data.exists() else 0
        settled = {line["boot"]: line["settled"] for line in lines if line.get("data") == index.data}
        for line in (line for line in lines if "part" in line):
            part, start, boot = (*line["part"],), line["start"], line.get("boot")
            end = start + part[-1]
            on_disk = boot is None or end <= settled.get(boot, 0)
            if end <= whole and (on_disk or boot == _BOOT):
                index.starts[part] = start
                index.settled &= on_disk
        return index

    @property
    def end(self) -> int:
        """Number behind the last frame."""
        return max((start + part[-1] for part, start in self.starts.items()), default=0)

    def add(self, file: BinaryIO, part: Part, start: int) -> None:
        """Note frames that were just written."""
        file.write(_line({"part": part, "start": start, "boot": _BOOT}))
        file.flush()
        self.starts[part], self.settled = start, False

    def replace(self, folder: Path, about: dict[str, Any]) -> None:
        """Write it anew; its frames have reached the disk."""
        lines = [about | {"data": self.data}, *({"part": part, "start": start} for part, start in self.starts.items())]
        replace_file(folder / INDEX, b"".join(map(_line, lines)))
        self.settled = True

    def settle(self, folder: Path) -> None:
        """Bring the frames to the disk and note it, in a thread of its own, for which the end of the process waits."""
        if not self.settled:
            threading.Thread(target=_settle, args=(folder, self.data, self.end), name=f"settle {folder}").start()


def _settle(folder: Path, data: str, end: int) -> None:
    """The line names its file, because another process may have begun another one meanwhile."""
    try:
        with (folder / data).open("rb") as frames:
            os.fdatasync(frames.fileno())
        index = os.open(folder / INDEX, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(index, _line({"settled": end, "data": data, "boot": _BOOT}))
        finally:
            os.close(index)
    except FileNotFoundError:
        pass  # somebody has deleted the cache
    except OSError as error:
        problem = f"{folder}: frames did not reach the disk ({error.strerror}); after a restart they are decoded anew"
        _log.warning(problem)


def _line(plain: dict[str, Any]) -> bytes:
    return json.dumps(plain).encode() + b"\n"


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        return json.loads(line)
    except ValueError:
        return None
