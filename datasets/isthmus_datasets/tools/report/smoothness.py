"""How smooth episodes are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.tools.scan.dataset_scan import DatasetScan

Numbers = NDArray[np.float64]

CUT_OFF_HZ, AMPLITUDE = 10.0, 0.05


def spectral_arc_length(speed: Numbers, rate: float) -> float:
    """How smooth a movement is: 0 at best, about -1.4 for one reach, less for every stop and jerk.

    The length of the curve that the spectrum of the speed makes, Balasubramanian et al. 2015,
    doi:10.1186/s12984-015-0090-9: up to 10 Hz, and no further than the spectrum stays above 5 % of its beginning.

    Args:
        speed: (T,) of the movement, in any unit.
        rate: Samples per second.
    """
    padded = 2 ** (int(np.ceil(np.log2(len(speed)))) + 4)
    spectrum = np.abs(np.fft.rfft(speed, padded))
    frequency = np.arange(len(spectrum)) * rate / padded
    if spectrum[0] == 0:
        return float("nan")
    spectrum = spectrum[frequency <= CUT_OFF_HZ] / spectrum[0]
    last = np.flatnonzero(spectrum >= AMPLITUDE)[-1]
    if last == 0:
        return 0.0
    return -float(np.hypot(1 / last, np.diff(spectrum[: last + 1])).sum())


def action_smoothness(scan: DatasetScan) -> dict[int, float]:
    """Smoothness of each episode's action: episode -> spectral arc length. Channels count by their range."""
    name = next((name for name in ("action", *scan.actions()) if name in scan.info.features), None)
    if name is None or name not in scan.actions():
        return {}
    span = scan.span(name)
    result = {}
    for episode, values in scan.of(name):
        if len(values) >= 4 and np.isfinite(values).all():
            steps = np.diff(values, axis=0) / np.where(span > 0, span, 1.0)
            result[episode.index] = spectral_arc_length(np.linalg.norm(steps, axis=1), scan.info.fps)
    return {index: value for index, value in result.items() if np.isfinite(value)}
