"""Whether episodes are of a sensible length, go on to an end of their own, and each is there once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from isthmus_datasets.recording.ending import Ending
from isthmus_datasets.tools.scan.dataset_scan import DatasetScan, EpisodeScan
from isthmus_datasets.tools.scan.finding import Finding

SHORT_S, SHORT_STEPS = 0.5, 5
TIMES = 3.0  # longer or shorter than the median
DEVIATIONS = 6.0  # robust standard deviations of the logarithm


def short(scan: DatasetScan) -> Iterator[Finding]:
    """No episode has zero steps or ends before anything can have happened."""
    for episode in scan.episodes:
        length = episode.row.length
        if length == 0:
            message, severity = "it has zero steps", "error"
        elif length < max(SHORT_STEPS, SHORT_S * scan.info.fps):
            message, severity = f"it has only {length} steps, {length / scan.info.fps:.2f} s", "warning"
        else:
            continue
        yield Finding(
            severity=severity,
            check="short",
            episode=episode.index,
            message=message,
            fix="delete it: the recording was probably stopped at once",
        )


def unusual_length(scan: DatasetScan) -> Iterator[Finding]:
    """No episode is far longer or shorter than the others."""
    lengths = np.array([episode.row.length for episode in scan.episodes], float)
    if len(lengths) < 5 or not lengths.all():
        return
    logarithms = np.log(lengths / np.median(lengths))
    spread = 1.4826 * float(np.median(np.abs(logarithms)))
    limit = max(np.log(TIMES), DEVIATIONS * spread)
    for episode, logarithm in zip(scan.episodes, logarithms, strict=True):
        if abs(logarithm) > limit:
            seconds, usual = episode.row.length / scan.info.fps, float(np.median(lengths)) / scan.info.fps
            yield Finding(
                severity="note",
                check="unusual-length",
                episode=episode.index,
                message=f"it takes {seconds:.1f} s, half of the others less than {usual:.1f} s",
                fix="look at it: the operator may have failed, waited, or forgotten to stop",
            )


def lost_sensors(scan: DatasetScan) -> Iterator[Finding]:
    """Every episode goes on until somebody, the world or the time ends it."""
    for episode in scan.episodes:
        if episode.row.facts.get("ending") == Ending.SENSORS.value:
            yield Finding(
                severity="note",
                check="lost-sensors",
                episode=episode.index,
                message="it ends where a camera or the robot was lost: whether it would have succeeded is not known",
                fix="nothing, if steps are learnt from; leave it out of demonstrations that are to show a whole task",
            )


def duplicates(scan: DatasetScan) -> Iterator[Finding]:
    """No episode is another one's copy."""
    first: dict[bytes, int] = {}
    for episode in scan.episodes:
        digest = _digest(scan, episode)
        if digest is not None and first.setdefault(digest, episode.index) != episode.index:
            yield Finding(
                severity="warning",
                check="duplicates",
                episode=episode.index,
                message=f"its columns are those of episode {first[digest]}, number for number",
                fix="delete one of the two: it was merged or imported twice, and counts double in training",
            )


def _digest(scan: DatasetScan, episode: EpisodeScan) -> bytes | None:
    """Digest of all columns that the episode brought; None where one is missing. Capture times do not count, which may
    be of another import."""
    digest = hashlib.blake2b()
    for name in scan.info.columns:
        feature = scan.info.features[name]
        if feature.is_image or name.endswith("_ns"):
            continue
        if name not in episode.columns or not episode.rows:
            return None
        values = episode.columns[name]
        digest.update("\0".join(values.ravel()).encode() if feature.dtype == "string" else values.tobytes())
    return digest.digest()
