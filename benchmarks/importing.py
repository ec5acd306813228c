"""`make bench-importing`: a replay buffer of human demonstrations, imported whole: are numbers the same to the bit, is
every picture there, and how far are pictures off after the codec?"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from common import Row, report
from numpy.typing import NDArray
from rich.progress import track

from isthmus_datasets.importers.opening import import_dataset, open_source
from isthmus_datasets.importers.source import ImportOptions, Source
from isthmus_datasets.reader import DatasetReader
from isthmus_datasets.writer import DatasetWriter


@dataclass(frozen=True, kw_only=True)
class Options:
    """Import and compare."""

    source: Annotated[Path, tyro.conf.Positional]
    """Whatever isthmus-dataset imports, such as pusht_cchi_v7_replay.zarr."""
    options: Annotated[ImportOptions, tyro.conf.OmitArgPrefixes] = field(
        default_factory=lambda: ImportOptions(fps=10, task="push the T")
    )


def differences(source: Source, dataset: DatasetReader, index: int) -> tuple[bool, bool, list[NDArray[np.uint8]]]:
    """Of an episode: whether its numbers are the same to the bit, whether it has a picture for every step, and how far
    each camera's pictures (T, H, W, 3) are off."""
    before, after = source.episodes[index], dataset.episode(index)
    same = all(after.columns[name].tobytes() == values.tobytes() for name, values in before.columns.items())
    pairs = [(np.asarray(before.videos[name]), np.asarray(after.videos[name])) for name in before.videos]
    complete = all(was.shape == now.shape for was, now in pairs)
    return same, complete, [np.maximum(was, now) - np.minimum(was, now) for was, now in pairs] if complete else []


def rows(source: Source, dataset: DatasetReader, seconds: float) -> list[Row]:
    """What to report of an import that took so long."""
    count = dataset.num_episodes
    found = [differences(source, dataset, index) for index in track(range(count), "comparing")]
    off = [error for _, _, errors in found for error in errors]
    levels = np.sum([np.bincount(error.ravel(), minlength=256) for error in off], axis=0)
    share = np.cumsum(levels) / levels.sum()
    worst = max(float(frame.mean()) for error in off for frame in error)
    return [
        Row(metric="episodes imported", value=count, unit="", must=f">= {len(source.episodes)}"),
        Row(metric="of which differ in a bit", value=sum(not same for same, _, _ in found), unit="", must="<= 0"),
        Row(metric="of which lack pictures", value=sum(not whole for _, whole, _ in found), unit="", must="<= 0"),
        Row(metric="pictures", value=sum(len(error) for error in off), unit=""),
        Row(
            metric="off by, mean of all grey levels",
            value=float(levels @ np.arange(256) / levels.sum()),
            unit="of 255",
            must="<= 1",
        ),
        Row(metric="… 99 of 100 within", value=float(np.searchsorted(share, 0.99)), unit="of 255", must="<= 20"),
        Row(metric="… mean of the worst picture", value=worst, unit="of 255", must="<= 1.5"),
        Row(metric="… the worst grey level", value=float(np.flatnonzero(levels)[-1]), unit="of 255"),
        Row(metric="time", value=seconds, unit="s"),
    ]


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = tyro.cli(Options, prog="bench-importing")
    source = open_source(options.source, options.options)
    with tempfile.TemporaryDirectory() as temporary:
        root, begun = Path(temporary) / "dataset", time.perf_counter()
        with DatasetWriter.create(root, fps=source.fps, features=source.features) as writer:
            import_dataset(source, writer)
        return report("importing", rows(source, DatasetReader(root), time.perf_counter() - begun))


if __name__ == "__main__":
    sys.exit(main())
