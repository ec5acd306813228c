"""Datasets that were cloned without their large files: Git LFS leaves a few lines of text in the place of each."""

from __future__ import annotations

from pathlib import Path


def lfs_pointer(path: Path) -> str | None:
    """What to say of such a file; None for any other."""
    with path.open("rb") as file:
        if not file.read(40).startswith(b"version https://git-lfs"):
            return None
    return f"{path} is a Git LFS pointer, not the file itself: run `git lfs pull` where it was cloned"
