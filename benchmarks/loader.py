"""`make bench-loader`: windows per second out of the training loader, beside decoding on demand and a bare copy."""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common import BenchOptions, Row, over_seeds, parse, report

import numpy as np

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.training.loader import Batch, Loader
from isthmus_datasets.training.windows import WindowConfig

CAMERAS = ("observation.images.scene", "observation.images.wrist")
STATE = "observation.state"
FEATURES: Features = {
    "action": Feature(dtype="float32", shape=(2,)),
    STATE: Feature(dtype="float32", shape=(5,)),
    **dict.fromkeys(CAMERAS, Feature(dtype="video", shape=(96, 96, 3))),
}


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Measure the training loader."""

    episodes: int = 32
    """Episodes of the dataset that is made: 2 cameras, 96 × 96."""
    steps: int = 120
    """Rows an episode."""
    batch_size: int = 64
    """Windows a batch: 2 observations, 16 actions."""
    rounds: int = 9
    """Times that everything is measured in turn."""
    seconds: float = 0.5
    """Length of one turn, s."""


QUICK = Options(episodes=4, rounds=2, seconds=0.1)


def make_dataset(root: Path, options: Options) -> DatasetReader:
    """Random numbers, and a bright square that moves over a coloured ground."""
    random = np.random.default_rng(0)
    ground = np.linspace(40, 200, 96 * 96 * 3).reshape(96, 96, 3).astype(np.uint8)
    with DatasetWriter.create(root, fps=10, features=FEATURES) as writer:
        for _ in range(options.episodes):
            video = np.repeat(ground[None], options.steps, axis=0)
            corners = random.integers(0, 80, 2) + random.integers(0, 9, (options.steps, 2))
            for image, (x, y) in zip(video, corners, strict=True):
                image[y : y + 8, x : x + 8] = 250
            columns = {name: random.normal(size=(options.steps, *FEATURES[name].shape)) for name in ("action", STATE)}
            writer.append(
                Episode(
                    columns={name: values.astype(np.float32) for name, values in columns.items()},
                    videos=dict.fromkeys(CAMERAS, video),
                    task="speed",
                    facts={},
                )
            )
    return DatasetReader(root)


def rate(work: Callable[[], int], seconds: float) -> float:
    """Windows per second over about `seconds`; `work` returns how many it has done."""
    begun, windows = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        windows += work()
    return windows / (time.perf_counter() - begun)


def next_batch(loader: Loader) -> Callable[[], int]:
    """Takes one batch after another, epoch after epoch."""
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    return lambda: len(next(batches)["action"])


def on_demand(reader: DatasetReader) -> Callable[[], int]:
    """What it would be without the cache: decodes two frames of each camera at a random step."""
    random = np.random.default_rng(0)

    def work() -> int:
        row = reader.episodes[random.integers(reader.num_episodes)]
        step = int(random.integers(1, row.length))
        for camera in CAMERAS:
            reader.frames(row.index, camera, [step - 1, step])
        return 1

    return work


def bare_copy(batch: Batch) -> Callable[[], int]:
    """As many bytes as a batch of images has, into new memory."""

    def work() -> int:
        for camera in CAMERAS:
            batch[camera].copy()
        return len(batch["action"])

    return work


def measure(reader: DatasetReader, options: Options) -> list[Row]:
    """First epoch of images, with decoding; then everything in turns."""
    begun = time.perf_counter()
    images = Loader(
        reader, WindowConfig.diffusion(observations=[STATE], cameras=CAMERAS), batch_size=options.batch_size
    )
    batch = max(images, key=lambda batch: len(batch["action"]))
    first = images.num_windows / (time.perf_counter() - begun)
    states = Loader(reader, WindowConfig.diffusion(observations=[STATE]), batch_size=options.batch_size)
    works = {
        "state": next_batch(states),
        "image": next_batch(images),
        "copy": bare_copy(batch),
        "decode": on_demand(reader),
    }
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(options.rounds):
        for name, work in works.items():
            rates[name].append(rate(work, options.seconds))
    shares = [image / copy for image, copy in zip(rates["image"], rates["copy"], strict=True)]
    peer = f"decoding on demand: {statistics.median(rates['decode']):.0f}"
    return [
        over_seeds("state windows", rates["state"], "1/s", must=">= 20000"),
        over_seeds("image windows, 2 cameras 96 × 96", rates["image"], "1/s", must=">= 500", peer=peer),
        over_seeds("… share of a bare copy of their frames", shares, ""),
        Row(metric="image windows, first epoch with decoding", value=first, unit="1/s"),
    ]


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    with tempfile.TemporaryDirectory() as temporary:
        return report("loader", measure(make_dataset(Path(temporary) / "speed", options), options), options)


if __name__ == "__main__":
    sys.exit(main())
