"""`isthmus-new robot NAME`: a package with a robot and a task that trains, plays, exports and deploys as it is."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import keyword
import re
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import tyro

from isthmus_sim.robots import ROBOTS
from isthmus_sim.tasks import TASKS

_FILES = {
    "pyproject.toml": "pyproject.toml.txt",
    "@MODULE@/__init__.py": "__init__.py.txt",
    "@MODULE@/robot.py": "robot.py.txt",
    "@MODULE@/reach.py": "reach.py.txt",
}
"""File of the new package -> its template. @NAME@ is the robot's name, @MODULE@ the import package's."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write a new package: a two-joint arm and the task of reaching, to be made into a robot of your own."""

    kind: Annotated[Literal["robot"], tyro.conf.Positional]
    """What it holds."""
    name: Annotated[str, tyro.conf.Positional]
    """Name of the robot, in small letters, such as my-arm; the task is called NAME-reach."""
    folder: Path | None = None
    """Where to write it; by default ./NAME."""


def write_package(name: str, folder: Path) -> list[Path]:
    """Write the package of a robot into a new folder; the files written.

    Raises:
        ValueError: no name for a package, or one that is registered or installed already.
        FileExistsError: the folder holds something.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name):
        raise ValueError(f"{name!r} is no name for a robot: take small letters, digits, - and _, such as my-arm")
    if name in ROBOTS or f"{name}-reach" in TASKS:
        raise ValueError(f"a robot {name!r} is registered already; registered are: {', '.join(ROBOTS)}")
    module = name.replace("-", "_")
    if keyword.iskeyword(module):
        raise ValueError(
            f"{name!r} is a word of Python's own, which cannot be imported: take another, such as my-{name}"
        )
    if importlib.util.find_spec(module) is not None or _is_installed(name):
        raise ValueError(
            f"a package {name!r} is installed already and would be hidden: take another, such as my-{name}"
        )
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; choose another --folder")
    written = []
    for target, template in _FILES.items():
        text = files("isthmus_sim.new").joinpath("templates", template).read_text(encoding="utf-8")
        path = folder / target.replace("@MODULE@", module)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("@NAME@", name).replace("@MODULE@", module), encoding="utf-8")
        written.append(path)
    return written


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `isthmus-new`."""
    options = tyro.cli(Options, prog="isthmus-new", args=arguments)
    folder = options.folder or Path(options.name)
    try:
        written = write_package(options.name, folder)
    except (ValueError, OSError) as error:
        sys.exit(f"isthmus-new: {error}")
    print("\n".join(f"wrote {path}" for path in written))
    print(
        f"next: pip install -e {folder}   ·   isthmus-train {options.name}-reach   ·   "
        f"isthmus-stand-in --robot {options.name}"
    )
