"""Demonstrations small enough to be learned from in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.writer import DatasetWriter

FPS = 10


def write_demonstrations(root: Path, *, episodes: int = 8, steps: int = 20, still: bool = False) -> Path:
    """A point that goes to where its episode's target is: state (x, target), action the next x. `still`: the second
    element of the state never changes."""
    features = {
        "observation.state": Feature(dtype="float32", shape=(2,), names=("x", "target")),
        "action": Feature(dtype="float32", shape=(1,), names=("x",)),
    }
    random = np.random.default_rng(0)
    with DatasetWriter.create(root, fps=FPS, features=features, robot_type="point") as writer:
        for _ in range(episodes):
            target = 0.5 if still else random.uniform(-1, 1)
            x = target + (random.uniform(-1, 1) - target) * 0.8 ** np.arange(steps + 1)
            state = np.stack([x[:-1], np.full(steps, target)], axis=1)
            columns = {"observation.state": state.astype(np.float32), "action": x[1:, None].astype(np.float32)}
            writer.append(Episode(columns=columns, videos={}, task="go there", facts={}))
    return root
