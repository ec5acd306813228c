"""Files that survive a crash: flushed to the disk before their name is theirs, and one writer at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import warnings
from pathlib import Path
from types import TracebackType

from isthmus_datasets.format.info import DatasetError


def write_synced(path: Path, content: bytes) -> None:
    """Write and flush to the disk. Raises OSError that names the file; half a file is removed."""
    try:
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise not_written(path, error) from error


def replace_file(path: Path, content: bytes) -> None:
    """Write beside the name and rename: a reader never sees half of it. Raises OSError that names the file."""
    partial = path.with_name(f".{path.name}.partial")
    write_synced(partial, content)
    move(partial, path)


def not_written(path: Path, error: Exception) -> OSError:
    """`error` with the file's name and what it means for the dataset."""
    reason = getattr(error, "strerror", None) or str(error)
    return OSError(
        getattr(error, "errno", None), f"could not write {path} ({reason}); what was saved before is untouched"
    )


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise not_written(path, error) from error
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it; the new names are on the disk when this returns. Raises OSError naming it."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(folder, error) from error
    for each in missing:
        sync(each.parent)


def move(source: Path, target: Path) -> None:
    """Rename, making the folder. Raises OSError that names the file."""
    make_folder(target.parent)
    try:
        os.replace(source, target)
    except OSError as error:
        raise not_written(target, error) from error


class Staging:
    """A folder for files that are not part of the dataset yet: empty at the start of the block, gone at its end. One
    that cannot be removed is a warning: what was done with its files is done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Path:
        remove_folder(self.folder)
        make_folder(self.folder)
        return self.folder

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            remove_folder(self.folder)
        except OSError as failure:
            warnings.warn(f"{self.folder} could not be removed ({failure}): remove it", RuntimeWarning, stacklevel=2)


def remove_folder(folder: Path) -> None:
    """Remove a folder and what is in it, if it is there."""
    if folder.exists():
        shutil.rmtree(folder)


class Lock:
    """Held from construction until `close` or the end of the process, however it ends.

    Raises:
        DatasetError: another writer holds it; the message says which process.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            self._file.close()
            raise DatasetError(f"{path.parent} is being written by {holder}: wait for it, or end it") from None
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} ({_command()})\n")
        self._file.flush()

    def close(self) -> None:
        """Let the next writer in. The file stays: removing it would let two in."""
        self._file.close()


def _command() -> str:
    words = Path("/proc/self/cmdline").read_bytes().split(b"\0")
    return b" ".join(words).decode(errors="replace").strip()[:200]
