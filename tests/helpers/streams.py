"""Videos whose frames come one after the other."""

from __future__ import annotations

import numpy as np

from isthmus_datasets.format.episode import Episode


def frames(episode: Episode, camera: str) -> np.ndarray:
    """(T, H, W, 3): all frames of a video, however the episode holds it in memory."""
    video = episode.videos[camera]
    return np.stack(list(video())) if callable(video) else np.asarray(video)
