"""What every way to a policy has for the demo and its report."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from isthmus_policies.demo.report.html import Fact
from isthmus_policies.demo.report.record import Demo
from isthmus_policies.files import plain


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is wanted: a policy for the registered task `trained`, asked for by the name `task`, as run folder `run`;
    all that is left beside it goes into `out`."""

    task: str
    trained: str
    out: Path
    run: Path
    seed: int
    console: Console


class Making(Protocol):
    """A way to a policy."""

    @property
    def options(self) -> Any:
        """What a person may choose: a dataclass with its defaults, part of the command line."""
        ...

    @property
    def leaves(self) -> tuple[str, ...]:
        """Names of what it leaves in the demo's folder beside the run; removed before it begins."""
        ...

    def check(self, options: Any, out: Path) -> None:
        """Raise ValueError or OSError for what cannot be, before anything is done or removed."""
        ...

    def make(self, order: Order, options: Any) -> bool:
        """Make the policy; False when it was interrupted. Raises ValueError, RuntimeError, OSError."""
        ...

    def exporting(self, options: Any) -> tuple[object, ...]:
        """What isthmus-export is told beside the run."""
        ...

    def facts(self, demo: Demo) -> list[Fact]:
        """How it went: the report's first headlines."""
        ...

    def again(self, demo: Demo) -> str:
        """What the command line needs beside the seeds to make the same policy again; empty for nothing."""
        ...


def changed_options(usual: Any, demo: Demo) -> str:
    """The options with which a demo's policy was made, where they are not the usual ones, as the command line has
    them."""
    before, chosen = plain(usual), demo.made.get("options", {})
    changed = {name: value for name, value in chosen.items() if value != before.get(name)}
    return "".join(f" --{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in changed.items())
