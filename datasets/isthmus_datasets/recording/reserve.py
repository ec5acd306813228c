"""Room on the disk that nobody else can take."""

from __future__ import annotations

import os
from pathlib import Path

from isthmus_datasets.format.files import make_folder, not_written

RESERVE_BYTES = 8 * 2**20
"""Many times what the rows and the last images of an episode take."""


class Reserve:
    """A file that is there only for the room it takes, until that is needed.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self) -> None:
        """Have the room from now on. Raises OSError that names the file when there is not so much."""
        if self._path.exists():
            return
        make_folder(self._path.parent)
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
        except OSError as error:
            self.release()
            raise not_written(self._path, error) from error

    def release(self) -> None:
        """Give the room back."""
        self._path.unlink(missing_ok=True)
