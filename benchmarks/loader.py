"""`make bench-loader`: windows per second for training, beside a bare copy of their frames and decoding on demand; the
first epoch beside decoding alone; memory and disk of a dataset of large images.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from common import BenchOptions, Row, over_seeds, parse, report

import av
import numpy as np

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.images.video import write_video
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.training.dataset import Batch, WindowDataset
from isthmus_datasets.training.decoder import Decoder, Job
from isthmus_datasets.training.frame_cache import default_folder
from isthmus_datasets.training.prefetch import Prefetch
from isthmus_datasets.training.sampler import WindowSampler
from isthmus_datasets.training.windows import WindowConfig

CAMERAS = ("observation.images.scene", "observation.images.wrist")
STATE = "observation.state"
SMALL, LARGE = (96, 96), (480, 640)
IMAGES = WindowConfig.diffusion(observations=[STATE], cameras=CAMERAS)


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Measure how fast windows for training come."""

    episodes: int = 200
    """Episodes of the dataset of small images that is made: 2 cameras, 96 × 96; as many as people gave for Push-T."""
    steps: int = 120
    """Rows an episode."""
    large_episodes: int = 40
    """Episodes of the dataset of large images: 2 cameras, 640 × 480, trained on at 96 × 96."""
    large_steps: int = 500
    """Rows an episode of that."""
    batch_size: int = 256
    """Windows a batch: 2 observations, 16 actions."""
    rounds: int = 9
    """Times that everything is measured in turn."""
    seconds: float = 0.5
    """Length of one turn, s."""
    epochs: int = 5
    """First epochs that are measured."""


QUICK = Options(episodes=4, large_episodes=2, large_steps=60, rounds=2, seconds=0.1, epochs=1)


def features(size: tuple[int, int]) -> Features:
    """What the datasets hold."""
    return {
        "action": Feature(dtype="float32", shape=(2,)),
        STATE: Feature(dtype="float32", shape=(5,)),
        **dict.fromkeys(CAMERAS, Feature(dtype="video", shape=(*size, 3))),
    }


def make_dataset(root: Path, episodes: int, steps: int, size: tuple[int, int]) -> DatasetReader:
    """Random numbers, and a bright square that moves over a coloured ground; every episode has the same video."""
    random, clip = np.random.default_rng(0), root.with_suffix(".mp4")
    write_video(clip, moving_square(random, steps, size), fps=10, crf=20, key_every=10)
    with DatasetWriter.create(root, fps=10, features=features(size)) as writer:
        for _ in range(episodes):
            sizes = {"action": 2, STATE: 5}
            columns = {name: random.normal(size=(steps, n)).astype(np.float32) for name, n in sizes.items()}
            writer.append(Episode(columns=columns, videos=dict.fromkeys(CAMERAS, clip), task="speed"))
    return DatasetReader(root)


def moving_square(random: np.random.Generator, steps: int, size: tuple[int, int]) -> np.ndarray:
    """(steps, H, W, 3)."""
    video = np.empty((steps, *size, 3), np.uint8)
    video[:] = np.linspace(40, 200, int(np.prod(size)) * 3).reshape(*size, 3)
    edge = size[0] // 12
    corners = random.integers(0, size[0] - 3 * edge, 2) + random.integers(0, edge, (steps, 2))
    for image, (x, y) in zip(video, corners, strict=True):
        image[y : y + edge, x : x + edge] = 250
    return video


def batches(dataset: WindowDataset, options: Options) -> Iterator[Batch]:
    """One after the other, epoch after epoch; those with images made ahead by as many threads as there are cores."""
    sampler = WindowSampler(dataset, batch_size=min(options.batch_size, len(dataset)))
    threads = len(os.sched_getaffinity(0)) if dataset.config.cameras else 0
    return itertools.chain.from_iterable(itertools.repeat(Prefetch(dataset, sampler, ahead=4, threads=threads)))


def rate(work: Callable[[], int], seconds: float) -> float:
    """Windows per second over about `seconds`; `work` returns how many it has done."""
    begun, windows = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        windows += work()
    return windows / (time.perf_counter() - begun)


def next_batch(dataset: WindowDataset, options: Options) -> Callable[[], int]:
    """Takes one batch after another."""
    forever = batches(dataset, options)
    return lambda: len(next(forever)["action"])


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
            batch[camera].clone()
        return len(batch["action"])

    return work


def by_pyav(reader: DatasetReader, index: int, camera: str) -> int:
    """Decodes an episode's frames as PyAV's manual does it; how many there were."""
    path, first = reader.video_start(index, camera)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        container.seek(round(first / reader.info.fps / stream.time_base), stream=stream)
        frames = itertools.islice(container.decode(stream), reader.episodes[index].length)
        return sum(1 for frame in frames if frame.to_ndarray(format="rgb24").size)


def by_reader(reader: DatasetReader, index: int, camera: str) -> int:
    """Decodes an episode's frames as everything here does."""
    return sum(1 for _ in reader.stream(index, camera))


def decoding_alone(reader: DatasetReader, decode: Callable[[DatasetReader, int, str], int]) -> float:
    """Seconds to decode every frame once, in as many threads as there are cores."""
    os.sync()  # what the first epoch has left to write would slow this one
    begun = time.perf_counter()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        jobs = [(row.index, camera) for row in reader.episodes for camera in CAMERAS]
        decoded = sum(pool.map(lambda job: decode(reader, *job), jobs))
    if decoded != len(CAMERAS) * sum(row.length for row in reader.episodes):
        raise RuntimeError(f"{decoded} frames were decoded, which is not all")
    return time.perf_counter() - begun


def first_epoch(reader: DatasetReader, options: Options) -> float:
    """Seconds until every window has come once, with decoding."""
    shutil.rmtree(default_folder(reader.root), ignore_errors=True)
    os.sync()
    begun = time.perf_counter()
    dataset = WindowDataset(reader, IMAGES)
    for _, _ in zip(range(-(-len(dataset) // options.batch_size)), batches(dataset, options), strict=False):
        pass
    return time.perf_counter() - begun


def first_epochs(reader: DatasetReader, options: Options) -> list[Row]:
    """The first epoch beside decoding alone, each in turn."""
    ways = {"PyAV": by_pyav, "the reader here": by_reader}
    shares: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.epochs):
        first = first_epoch(reader, options)
        for name, decode in ways.items():
            shares[name].append(first / decoding_alone(reader, decode))
    label = "first epoch, times decoding alone by"
    bounds = {"PyAV": None, "the reader here": "<= 1.2"}
    return [over_seeds(f"{label} {name}", values, "", must=bounds[name]) for name, values in shares.items()]


def small_images(reader: DatasetReader, options: Options) -> list[Row]:
    """Speed, everything in turns."""
    epochs = first_epochs(reader, options)
    images = WindowDataset(reader, IMAGES)
    states = WindowDataset(reader, WindowConfig.diffusion(observations=[STATE]))
    works = {
        "state": next_batch(states, options),
        "image": next_batch(images, options),
        "copy": bare_copy(next(batches(images, options))),
        "decode": on_demand(reader),
    }
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(options.rounds):
        for name, work in works.items():
            rates[name].append(rate(work, options.seconds))
    shares = [image / copy for image, copy in zip(rates["image"], rates["copy"], strict=True)]
    peer = f"decoding on demand: {statistics.median(rates['decode']):.0f}"
    return [
        over_seeds("state windows", rates["state"], "1/s", must=">= 1000000"),
        over_seeds(
            "image windows, 2 cameras 96 × 96, 2 observations", rates["image"], "1/s", must=">= 20000", peer=peer
        ),
        over_seeds("… share of a bare copy of their frames, one thread", shares, ""),
        *epochs,
    ]


def train_large(root: Path, options: Options, out: multiprocessing.SimpleQueue[float]) -> None:
    """In a process of its own: two epochs of large images, made small; the most memory that it had, GB."""
    dataset = WindowDataset(DatasetReader(root), IMAGES, size=SMALL)
    for _, _ in zip(range(2 * -(-len(dataset) // options.batch_size)), batches(dataset, options), strict=False):
        pass
    out.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


def decoder_memory(reader: DatasetReader, folder: Path) -> float:
    """The most memory that a process had which decodes an episode, GB."""
    path, first = reader.video_start(0, CAMERAS[0])
    job = Job(
        episode="episode 0", video=str(path), first=first, count=reader.episodes[0].length, fps=reader.info.fps,
        shape=(*LARGE, 3), size=SMALL, place=0,
    )  # fmt: skip
    with (folder / "frames").open("w+b") as frames, (folder / "lock").open("a") as lock:
        decoder = Decoder(frames.fileno(), lock.fileno())
        try:
            decoder.run(job)
            status = Path(f"/proc/{decoder.pid}/status").read_text()
        finally:
            decoder.close()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


def large_images(root: Path, options: Options) -> list[Row]:
    """Memory and disk."""
    reader = make_dataset(root, options.large_episodes, options.large_steps, LARGE)
    context = multiprocessing.get_context("spawn")
    out = context.SimpleQueue()
    begun = time.perf_counter()
    process = context.Process(target=train_large, args=(root, options, out))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"the training on large images ended with {process.exitcode}")
    seconds = time.perf_counter() - begun
    steps = sum(row.length for row in reader.episodes)
    frames = steps * len(CAMERAS) * 3 * SMALL[0] * SMALL[1]
    there = sum(path.stat().st_size for path in default_folder(root).rglob("*") if path.is_file())
    label = f"{steps} steps of 2 cameras 640 × 480 at 96 × 96"
    memory = out.get() + len(CAMERAS) * decoder_memory(reader, root.parent)
    return [
        Row(metric=f"{label}: memory, with its decoders", value=memory, unit="GB", must="<= 2"),
        Row(metric="… disk, times its frames at that size", value=there / frames, unit="", must="<= 1.3"),
        Row(metric="… two epochs with decoding", value=seconds, unit="s"),
    ]


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    with tempfile.TemporaryDirectory() as temporary:
        reader = make_dataset(Path(temporary) / "speed", options.episodes, options.steps, SMALL)
        rows = small_images(reader, options) + large_images(Path(temporary) / "large", options)
    return report("loader", rows, options)


if __name__ == "__main__":
    sys.exit(main())
