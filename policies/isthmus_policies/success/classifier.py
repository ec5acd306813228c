"""A network that tells from a camera's image whether the task is done, and its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isthmus_policies.files import from_json, plain
from isthmus_policies.networks.cnn import Cnn, CnnConfig
from isthmus_policies.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from isthmus_sim.task import Group
from isthmus_sim.threads import one_torch_thread

FORMAT = "isthmus.success_classifier.1"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a classifier looks at, and when it says that the task is done.

    camera: Name of the camera, as the robot has it. size: (height, width) at which its images are seen. threshold: of
    the network's output, a logit. hold: images in a row that must exceed it.
    """

    camera: str
    size: tuple[int, int]
    threshold: float = 0.0
    hold: int = 3
    image: CnnConfig


class SuccessNetwork(nn.Module):
    """Images (n, height, width, 3) uint8 -> logits (n,)."""

    def __init__(self, size: tuple[int, int], config: CnnConfig) -> None:
        super().__init__()
        self.cnn = Cnn(Group(shape=(*size, 3), dtype="uint8"), config)
        self.head = nn.Sequential(nn.Linear(self.cnn.size, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.cnn(images)).squeeze(-1)


class SuccessClassifier:
    """Says of one image after the other whether the task is done."""

    def __init__(self, network: SuccessNetwork, seen: Seen) -> None:
        self.seen = seen
        self._network = network.eval()
        self._in_a_row = 0

    def begin(self) -> None:
        """An episode begins."""
        self._in_a_row = 0

    @property
    def shows(self) -> bool:
        """Whether the newest image shows success by itself."""
        return self._in_a_row > 0

    @torch.no_grad()
    def done(self, image: NDArray[np.uint8]) -> bool:
        """Whether the task is done upon the newest image (H, W, 3) RGB, and the ones before."""
        with one_torch_thread():
            logit = float(self._network(torch.from_numpy(resized(image, self.seen.size))[None]))
        self._in_a_row = self._in_a_row + 1 if logit > self.seen.threshold else 0
        return self._in_a_row >= self.seen.hold


def resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """An image (H, W, 3) as the classifier sees it."""
    if image.shape[:2] == size:
        return np.ascontiguousarray(image)
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def save_classifier(path: Path, network: SuccessNetwork, seen: Seen, facts: dict[str, Any]) -> None:
    """Write it. Raises OSError."""
    save_checkpoint(path, network.state_dict(), {"seen": plain(seen), **facts}, kind=FORMAT)


def load_classifier(path: Path) -> SuccessClassifier:
    """What `save_classifier` wrote. Raises CheckpointError, FileNotFoundError."""
    tensors, facts = load_checkpoint(path, kind=FORMAT)
    try:
        seen = from_json(Seen, facts["seen"])
        network = SuccessNetwork(seen.size, seen.image)
        network.load_state_dict(tensors)
    except (KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} is no success classifier of this version: {error}") from error
    return SuccessClassifier(network, seen)
