"""`isthmus-compatibility DATASET --runs RUN RUN …`: which new demonstrations fit what was learned so far, and where
they do not."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_policies.chunks.compatibility.score import Compatibility, Scored
from isthmus_policies.chunks.training.run import ChunkRun, load_chunk_run
from isthmus_policies.files import write_json
from isthmus_sim.threads import use_thread_budget

PROGRAM = "isthmus-compatibility"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Score every episode of a dataset by several runs of cloning that were trained on demonstrations which are kept
    anyway. What is new to them scores 1; what they know scores as far as they would do the same."""

    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder of the new demonstrations."""
    runs: tuple[Path, ...]
    """Folders of two runs or more by isthmus-train-chunks --method cloning, of the same datasets with other seeds."""
    out: Path | None = None
    """Where weights for isthmus-train-chunks --weights go: 1 for what is compatible, 0 for what is not; of the runs'
    datasets in their order, all 1, and behind them this one."""
    soft: bool = False
    """Weigh by the score itself instead."""


def load_runs(folders: tuple[Path, ...]) -> list[ChunkRun]:
    """The runs' newest policies. Raises ValueError, OSError."""
    return [load_chunk_run(folder) for folder in folders]


def score(options: Options, console: Console) -> list[Scored]:
    """Score, print, and write the weights. Raises ValueError, DatasetError and OSError."""
    runs = load_runs(options.runs)
    compatibility, reader = Compatibility.fit(runs), DatasetReader(options.dataset)
    spec = runs[0].policy.spec
    names = (*spec.columns, spec.action)
    if missing := sorted(set(names) - set(reader.info.columns)):
        raise DatasetError(f"{options.dataset} has no column {', '.join(missing)}, which the policies read or give")
    scored = [compatibility.score(reader.columns(index, names)) for index in range(reader.num_episodes)]
    console.print(_table(scored, compatibility, spec.fps))
    kept = sum(each.score >= compatibility.least for each in scored)
    console.print(f"{kept} of {len(scored)} score at least {compatibility.least:.2f}, as the runs' own episodes do")
    if options.out is not None:
        own = [[1.0] * DatasetReader(root).num_episodes for root in runs[0].config.datasets]
        new = [each.score if options.soft else float(each.score >= compatibility.least) for each in scored]
        write_json(options.out, {"weights": [*own, new]})
        there = " ".join(map(str, (*runs[0].config.datasets, options.dataset)))
        console.print(f"next: isthmus-train-chunks {there} --weights {options.out}", highlight=False, soft_wrap=True)
    return scored


def _table(scored: list[Scored], compatibility: Compatibility, fps: int) -> Table:
    table = Table("episode", "score", "new to the policies", "kept", "doubtful, s")
    for index, each in enumerate(scored):
        kept = "yes" if each.score >= compatibility.least else "[red]no[/]"
        table.add_row(str(index), f"{each.score:.2f}", f"{each.new.mean():.0%}", kept, in_words(each, fps))
    return table


def in_words(scored: Scored, fps: int) -> str:
    """When it is doubtful, in seconds."""
    return ", ".join(f"{first / fps:.1f} to {(last + 1) / fps:.1f}" for first, last in scored.doubtful())


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    try:
        options = tyro.cli(Options, prog=PROGRAM, args=arguments)
        use_thread_budget()
        score(options, Console())
    except (ValueError, DatasetError, OSError) as error:
        sys.exit(f"{PROGRAM}: {error}")


if __name__ == "__main__":
    main()
