"""`isthmus-dataset`: what can be done with a dataset that is on disk. One dataclass a subcommand."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import Progress

from isthmus_datasets.format.files import replace_file
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.tools.checks.show import show, to_json
from isthmus_datasets.tools.checks.suite import run_checks
from isthmus_datasets.tools.report.dataset_page import page
from isthmus_datasets.tools.scan.dataset_scan import DatasetScan
from isthmus_datasets.tools.scan.gather import gather
from isthmus_datasets.tools.subcommands import (
    Export,
    Import,
    Merge,
    Migrate,
    Pack,
    Recover,
    Reencode,
    Select,
    Split,
    Statistics,
    View,
)

CLEAN, FOUND, UNREADABLE = 0, 1, 2
"""Exit codes."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """Look for defects: reads every row and decodes every frame. Exits with 0 when there is no error, 1 when there is,
    2 when there is no dataset that can be read."""

    path: Annotated[Path, tyro.conf.Positional]
    """Folder of the dataset."""
    strict: bool = False
    """Exit with 1 for warnings too."""
    json: Path | None = None
    """Write the findings to this file as well."""

    def run(self, console: Console) -> int:
        scan = _gather(self.path, console)
        findings = run_checks(scan)
        show(console, scan, findings)
        if self.json:
            replace_file(self.json, to_json(scan, findings))
        bad = ("error", "warning") if self.strict else ("error",)
        return FOUND if any(finding.severity in bad for finding in findings) else CLEAN


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write one HTML page about a dataset: how much of what there is, how it was done, and what was found. Exits as
    `check` does when there is no dataset that can be read, else with 0."""

    path: Annotated[Path, tyro.conf.Positional]
    """Folder of the dataset."""
    out: Path | None = None
    """The page; by default FOLDER-report.html beside the dataset's folder."""

    def run(self, console: Console) -> int:
        scan = _gather(self.path, console)
        root = self.path.resolve()
        out = self.out or root.with_name(f"{root.name}-report.html")
        replace_file(out, page(scan, run_checks(scan)).encode())
        console.print(f"{out}", highlight=False)
        return CLEAN


Command = (
    Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[View, tyro.conf.subcommand("view")]
    | Annotated[Import, tyro.conf.subcommand("import")]
    | Annotated[Export, tyro.conf.subcommand("export-zarr")]
    | Annotated[Merge, tyro.conf.subcommand("merge")]
    | Annotated[Select, tyro.conf.subcommand("select")]
    | Annotated[Split, tyro.conf.subcommand("split")]
    | Annotated[Pack, tyro.conf.subcommand("pack")]
    | Annotated[Migrate, tyro.conf.subcommand("migrate")]
    | Annotated[Reencode, tyro.conf.subcommand("reencode")]
    | Annotated[Recover, tyro.conf.subcommand("recover")]
    | Annotated[Statistics, tyro.conf.subcommand("statistics")]
)


def _gather(path: Path, console: Console) -> DatasetScan:
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("reading", total=None)
        return gather(path, lambda done, total: progress.update(task, completed=done, total=total))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a subcommand; ends the process with its exit code."""
    command = tyro.cli(Command, prog="isthmus-dataset", description=__doc__, args=arguments)  # type: ignore[arg-type]
    console = Console(stderr=True)
    try:
        code = command.run(Console())
    except (DatasetError, OSError) as error:
        console.print(f"[bold red]error[/] {error}", highlight=False, markup=True)
        code = UNREADABLE
    sys.exit(code)


if __name__ == "__main__":
    main()
