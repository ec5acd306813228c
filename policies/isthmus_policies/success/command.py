"""`isthmus-train-success DATASET --camera NAME --out FILE`: train what tells success from a camera's images."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from rich.console import Console
from torch.nn import functional

from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.recording.robot_columns import camera_name
from isthmus_policies.algorithms.sac.shift import shifted
from isthmus_policies.files import code_revision
from isthmus_policies.networks.cnn import CnnConfig
from isthmus_policies.success.classifier import Seen, SuccessClassifier, SuccessNetwork, resized, save_classifier
from isthmus_sim.threads import use_thread_budget

PROGRAM = "isthmus-train-success"
FALSE = 0.001
"""Share of the held-out images without success that may exceed the threshold."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train a classifier of success from recorded episodes. The last images of those that succeeded show success, all
    earlier ones and those of the others do not; between them some count as neither. It is refused where it says success
    too early in held-out episodes, or seldom."""

    datasets: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of the datasets."""
    camera: str
    """Name of the camera, such as wrist."""
    out: Path
    """File of the classifier."""
    last: int = 5
    """Images at the end of a successful episode that show success."""
    between: int = 10
    """Images before these that count as neither."""
    size: tuple[int, int] = (64, 64)
    """Height and width at which images are seen."""
    hold: int = 3
    """Images in a row that must show success before it says so."""
    validation: float = 0.2
    """Share of the episodes that are held out."""
    early: float = 0.05
    """Share of the held-out episodes, at most, in which it may say success before that was so."""
    found: float = 0.8
    """Share of the held-out successes, at least, that it must tell."""
    steps: int = 1_000
    """Batches."""
    batch_size: int = 64
    learning_rate: float = 1e-3
    shift: int = 4
    """Most pixels by which training shifts images."""
    seed: int = 0
    image: CnnConfig = field(default_factory=CnnConfig)

    def __post_init__(self) -> None:
        if min(self.last, self.hold, self.steps, self.batch_size, *self.size) < 1 or self.between < 0:
            raise ValueError("last, hold, steps, batch_size and size must be at least 1, between not negative")
        if self.hold > self.last:
            raise ValueError(f"hold {self.hold} must be at most the {self.last} last images")


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """An episode's images (T, height, width, 3), and whether it succeeded with its last one."""

    images: NDArray[np.uint8]
    success: bool


@dataclass(frozen=True, kw_only=True)
class Judged:
    """How a classifier does on held-out episodes: the share in which it says success too early, and the share of the
    successes that it tells."""

    early: float
    found: float


def episodes(options: Options) -> list[Shown]:
    """All episodes that say whether they succeeded. Raises DatasetError where a camera is not there, or all or none
    succeeded and no image shows the other."""
    shown = [each for root in options.datasets for each in _episodes(DatasetReader(root), options)]
    if not any(each.success for each in shown):
        raise DatasetError(f"{', '.join(map(str, options.datasets))}: no episode succeeded, so none shows success")
    return shown


def _episodes(reader: DatasetReader, options: Options) -> Iterator[Shown]:
    camera = camera_name(options.camera)
    if camera not in reader.info.cameras:
        there = ", ".join(name.removeprefix("observation.images.") for name in reader.info.cameras)
        raise DatasetError(f"{reader.root} has no camera {options.camera!r}; there are: {there or 'none'}")
    if reader.info.features[camera].shape[-1] != 3:
        raise DatasetError(f"{reader.root}: the camera {options.camera!r} measures depth; take one that sees colours")
    for row in reader.episodes:
        success = row.facts.get("success")
        if success is not None:
            images = [resized(np.asarray(image, np.uint8), options.size) for image in reader.stream(row.index, camera)]
            yield Shown(images=np.stack(images), success=bool(success))


def labelled(shown: Shown, options: Options) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images that show success, and that do not."""
    if not shown.success:
        return shown.images[:0], shown.images
    return shown.images[-options.last :], shown.images[: -options.last - options.between]


def fit(options: Options, shown: list[Shown]) -> SuccessNetwork:
    """Half of each batch shows success."""
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    kinds = [
        torch.from_numpy(np.concatenate(each)) for each in zip(*(labelled(s, options) for s in shown), strict=True)
    ]
    network = SuccessNetwork(options.size, options.image)
    optimizer = torch.optim.Adam(network.parameters(), lr=options.learning_rate)
    half = max(1, options.batch_size // 2)
    truth = torch.cat((torch.ones(half), torch.zeros(half)))
    for _ in range(options.steps):
        drawn = [images[torch.randint(len(images), (half,), generator=generator)] for images in kinds]
        batch = shifted(torch.cat(drawn), options.shift, generator)
        loss = functional.binary_cross_entropy_with_logits(network(batch), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


@torch.no_grad()
def threshold(network: SuccessNetwork, shown: list[Shown], options: Options) -> float:
    """The logit that few of the images without success exceed."""
    without = np.concatenate([labelled(each, options)[1] for each in shown])
    logits = torch.cat([network(part) for part in torch.from_numpy(without).split(256)])
    return max(0.0, float(torch.quantile(logits, 1 - FALSE)))


def judge(classifier: SuccessClassifier, shown: list[Shown], options: Options) -> Judged:
    """Let it look on at held-out episodes."""
    early = told = 0
    for each in shown:
        classifier.begin()
        first = next((i for i, image in enumerate(each.images) if classifier.done(image)), None)
        may = len(each.images) - options.last - options.between if each.success else len(each.images)
        early += first is not None and first < may
        told += each.success and first is not None
    successes = sum(each.success for each in shown)
    return Judged(early=early / len(shown), found=told / max(1, successes))


def train(options: Options) -> str:
    """Train, judge, save; a line that says how good it is. Raises DatasetError, ValueError and OSError."""
    shown = episodes(options)
    order = np.random.default_rng(options.seed).permutation(len(shown))
    count = max(1, round(options.validation * len(shown)))
    held_out, training = ([shown[i] for i in part] for part in (order[:count], order[count:]))
    for name, part in (("training", training), ("held-out", held_out)):
        if not any(each.success for each in part) or not sum(len(labelled(each, options)[1]) for each in part):
            raise DatasetError(f"of the {len(part)} {name} episodes none shows success, or all images do: record more")
    network = fit(options, training)
    seen = Seen(camera=options.camera, size=options.size, hold=options.hold, image=options.image)
    seen = replace(seen, threshold=threshold(network, held_out, options))
    judged = judge(SuccessClassifier(network, seen), held_out, options)
    told = f"of {len(held_out)} held-out episodes it says success too early in {judged.early:.0%}, "
    told += f"and tells {judged.found:.0%} of the successes"
    if judged.early > options.early or judged.found < options.found:
        raise ValueError(
            f"the classifier cannot be used: {told}; it may be {options.early:.0%} at most and {options.found:.0%} at "
            "least. Record failures and half-done attempts too, or choose a camera that sees the difference"
        )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_classifier(
        options.out, network, seen, {"code_revision": code_revision(), "early": judged.early, "found": judged.found}
    )
    return f"{options.out}: {told}"


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    try:
        options = tyro.cli(Options, prog=PROGRAM, args=arguments)
        use_thread_budget()
        Console().print(train(options), highlight=False, soft_wrap=True)
    except (DatasetError, ValueError, OSError) as error:
        sys.exit(f"{PROGRAM}: {error}")


if __name__ == "__main__":
    main()
