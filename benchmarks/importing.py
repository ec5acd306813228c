"""`make bench-importing`: a replay buffer of human demonstrations, imported whole: are numbers the same to the bit, is
every image there, and how far are images off after the codec?"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from common import BenchOptions, Row, parse, report

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.progress import track

from isthmus_datasets.convert.exporters.zarr_v2 import export_replay_buffer
from isthmus_datasets.convert.importers.opening import import_dataset, open_source
from isthmus_datasets.convert.importers.source import ImportOptions, Source
from isthmus_datasets.format.episode import Episode, Frames, ImageFiles
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.images.pixels import Pixels
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Import and compare."""

    source: Annotated[Path | None, tyro.conf.Positional] = None
    """Whatever isthmus-dataset imports, such as pusht_cchi_v7_replay.zarr; --quick can do without."""
    options: Annotated[ImportOptions, tyro.conf.OmitArgPrefixes] = field(
        default_factory=lambda: ImportOptions(fps=10, task="push the T")
    )


QUICK = Options()


def small_buffer(path: Path) -> Path:
    """A replay buffer of 3 episodes of 20 steps, with images of a grey that grows."""
    features: Features = {
        "action": Feature(dtype="float32", shape=(2,)),
        "observation.images.scene": Feature(dtype="video", shape=(96, 96, 3)),
    }
    grey = np.arange(20, dtype=np.uint8)[:, None, None, None]
    episode = Episode(
        columns={"action": np.arange(40, dtype=np.float32).reshape(20, 2)},
        videos={"observation.images.scene": np.broadcast_to(10 * grey, (20, 96, 96, 3)).copy()},
        task="push the T",
        facts={},
    )
    return export_replay_buffer(path, [episode] * 3, fps=10, features=features)


def differences(source: Source, dataset: DatasetReader, index: int) -> tuple[bool, bool, list[NDArray[np.uint8]]]:
    """Compare one episode with its source: whether its numbers are the same to the bit, whether it has an image for
    every step, and how far each camera's images (T, H, W, 3) are off."""
    before, after = source.episodes[index], dataset.episode(index)
    same = all(after.columns[name].tobytes() == values.tobytes() for name, values in before.columns.items())
    pairs = [(images(before.videos[name]), images(after.videos[name])) for name in before.videos]
    complete = all(was.shape == now.shape for was, now in pairs)
    return same, complete, [np.maximum(was, now) - np.minimum(was, now) for was, now in pairs] if complete else []


def images(video: Pixels | Path | Frames | ImageFiles) -> NDArray[np.uint8]:
    """All images of an episode's camera, (T, H, W, 3)."""
    assert not isinstance(video, Path), "what is imported here comes from arrays"
    return np.asarray(video if isinstance(video, np.ndarray) else list(video()), np.uint8)


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
        Row(metric="of which lack images", value=sum(not whole for _, whole, _ in found), unit="", must="<= 0"),
        Row(metric="images", value=sum(len(error) for error in off), unit=""),
        Row(
            metric="off by, mean of all grey levels",
            value=float(levels @ np.arange(256) / levels.sum()),
            unit="of 255",
            must="<= 1",
        ),
        Row(metric="… 99 of 100 within", value=float(np.searchsorted(share, 0.99)), unit="of 255", must="<= 20"),
        Row(metric="… mean of the worst image", value=worst, unit="of 255", must="<= 1.5"),
        Row(metric="… the worst grey level", value=float(np.flatnonzero(levels)[-1]), unit="of 255"),
        Row(metric="time", value=seconds, unit="s"),
    ]


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    if options.source is None and not options.quick:
        sys.exit("bench-importing: say what to import, such as pusht_cchi_v7_replay.zarr")
    with tempfile.TemporaryDirectory() as temporary:
        source = open_source(options.source or small_buffer(Path(temporary) / "small.zarr"), options.options)
        root, begun = Path(temporary) / "dataset", time.perf_counter()
        with DatasetWriter.create(root, fps=source.fps, features=source.features) as writer:
            import_dataset(source, writer)
        return report("importing", rows(source, DatasetReader(root), time.perf_counter() - begun), options)


if __name__ == "__main__":
    sys.exit(main())
