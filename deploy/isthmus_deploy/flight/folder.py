"""The folder of all flights, bounded in size: each run has a folder in it, with its bag in several files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO

FILES = 8
"""A file is at most this part of the bound, so that little is lost where the oldest one has to go."""
SUFFIX = ".mcap"
_RUN = re.compile(r"\d{8}-\d{6}_.+_\d+")
_FILE = re.compile(r"flight_\d+")


def default_folder() -> Path:
    """Where flights are recorded unless something else is said: in XDG_STATE_HOME, which is ~/.local/state."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "isthmus" / "flights"


class FlightFolder:
    """The files of one run, and room for them: the oldest ones of any run are deleted.

    Only files are deleted that have the names which are given here, in folders that have.

    Args:
        root: The folder of all flights.
        run: Name of the run's own one.
        limit: Of all files together, in bytes.
    """

    def __init__(self, root: Path, run: str, limit: int) -> None:
        self._root, self._run, self._limit = root, root / run, limit
        self._opened = 0
        self.file_size = limit // FILES
        """How long each file may become, in bytes."""

    def open_next(self) -> BinaryIO:
        """A new file, after room was made for it. Raises OSError."""
        self._make_room()
        self._run.mkdir(parents=True, exist_ok=True)
        path = self._run / f"flight_{self._opened:04d}{SUFFIX}"
        self._opened += 1
        return path.open("xb", buffering=0)

    def _make_room(self) -> None:
        files = sorted(flight_files(self._root), key=lambda file: file.stat().st_mtime_ns)
        used = sum(file.stat().st_size for file in files)
        for file in files:
            if used + self.file_size <= self._limit:
                return
            used -= file.stat().st_size
            file.unlink()
            if not any(file.parent.iterdir()):
                file.parent.rmdir()


def flight_files(root: Path) -> list[Path]:
    """The files of all flights."""
    found = root.glob(f"*/*{SUFFIX}")
    return [path for path in found if _FILE.fullmatch(path.stem) and _RUN.fullmatch(path.parent.name)]


def newest_run(root: Path, robot: str) -> Path | None:
    """The folder of a robot's newest run, which may still go on."""
    runs = {path.parent for path in flight_files(root)}
    own = [run for run in runs if run.name.split("_", 1)[1].rsplit("_", 1)[0] == _as_in_a_name(robot)]
    return max(own, key=lambda run: run.name, default=None)


def run_name(robot: str, started: str, process: int) -> str:
    """Name of a run's folder.

    Args:
        robot: Its name.
        started: When, as 20261130-120000.
        process: Number of the process.
    """
    return f"{started}_{_as_in_a_name(robot)}_{process}"


def _as_in_a_name(robot: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", robot)
