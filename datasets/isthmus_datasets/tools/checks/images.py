"""Whether cameras gave an image for every row, and images that show something."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from isthmus_datasets.tools.scan.dataset_scan import OBSERVED, DatasetScan, EpisodeScan
from isthmus_datasets.tools.scan.finding import Finding
from isthmus_datasets.tools.scan.footage import Footage

STUCK_S, STUCK_FRAMES = 1.0, 10
MOVED = 0.1  # of a channel's range: what a camera should have seen
BLACK, WHITE, FLAT = 24, 232, 10  # grey levels, of 255
EMPTY_WARNING = 0.1  # of an episode's images; fewer are a note: a hand may have been in front of the lens


def frames(scan: DatasetScan) -> Iterator[Finding]:
    """Every video has, when decoded, one frame for each row, at its row's time and of the declared size."""
    for episode in scan.episodes:
        for camera, footage in episode.footage.items():
            problem = _frames_problem(scan, episode, camera, footage)
            if problem:
                yield Finding(
                    severity="error",
                    check="frames",
                    episode=episode.index,
                    message=f"{camera} {problem}",
                    fix="delete the episode, or record it again: which row lacks its frame, nobody can tell",
                )


def _frames_problem(scan: DatasetScan, episode: EpisodeScan, camera: str, footage: Footage) -> str | None:
    declared, fps = scan.info.features[camera].shape, scan.info.fps
    if footage.shape != declared:
        return f"has frames of shape {footage.shape}, declared is {declared}"
    if footage.frames != episode.row.length:
        return f"has {footage.frames} frames when decoded, the episode has {episode.row.length} rows"
    if footage.misplaced is not None:
        return f"has frame {footage.misplaced} not at {footage.misplaced / fps:.4g} s after the episode's first"
    place = episode.row.videos.get(camera)
    if place and abs(place.end_s - place.start_s - episode.row.length / fps) > 0.5 / fps:
        return (
            f"is from {place.start_s:g} to {place.end_s:g} s in meta/episodes, which is not {episode.row.length} rows"
        )
    return None


def stuck(scan: DatasetScan) -> Iterator[Finding]:
    """No camera shows one image for long while the robot moves."""
    spans = {name: scan.span(name) for name in _robot(scan)}
    for episode in scan.episodes:
        for camera, footage in episode.footage.items():
            first, count = _longest(footage)
            seconds = count / scan.info.fps
            if count < STUCK_FRAMES or seconds < STUCK_S or not _moves(episode, spans, first, count):
                continue
            if any(empty[first] for empty in _empty(footage).values()):
                continue  # said by the check below
            yield Finding(
                severity="warning",
                check="stuck",
                episode=episode.index,
                message=f"{camera} shows one image for {seconds:.1f} s from step {first}, while the robot moves",
                fix="delete the episode, and look at the camera's cable or driver",
            )


def _robot(scan: DatasetScan) -> list[str]:
    """Columns that tell whether the robot moves: its state, where that is apart from what is around it."""
    names = scan.numbers(*OBSERVED) or scan.actions()
    return [name for name in names if name == "observation.state"] or names


def _longest(footage: Footage) -> tuple[int, int]:
    """First frame and number of frames of the longest time without a change."""
    last = int(footage.unchanged.argmax())
    count = int(footage.unchanged[last])
    return last - count, count + 1


def _moves(episode: EpisodeScan, spans: dict[str, np.ndarray], first: int, count: int) -> bool:
    """Whether a channel goes somewhere in these steps: by means over quarters, which leave noise out."""
    for name, span in spans.items():
        values = episode.columns.get(name, np.empty(0))[first : first + count]
        if len(values) < 4:
            continue
        quarters = np.array([part.mean(axis=0) for part in np.array_split(values.reshape(len(values), -1), 4)])
        if (np.ptp(quarters, axis=0) > MOVED * span)[span > 0].any():
            return True
    return False


def empty_images(scan: DatasetScan) -> Iterator[Finding]:
    """No image is black, washed out, or of one grey or depth all over."""
    for episode in scan.episodes:
        for camera, footage in episode.footage.items():
            for kind, empty in _empty(footage).items():
                if not empty.any():
                    continue
                share = f"{empty.sum()} of {len(empty)} frames"
                yield Finding(
                    severity="warning" if empty.mean() >= EMPTY_WARNING else "note",
                    check="empty-images",
                    episode=episode.index,
                    message=f"{camera} is {kind} in {share}, first at step {empty.argmax()}",
                    fix="look at exposure, lens cap and cable; cut or delete the episode",
                )


def _empty(footage: Footage) -> dict[str, np.ndarray]:
    """What is wrong with images, and with which: (n,) each."""
    dark, bright = footage.darkest.astype(int), footage.brightest.astype(int)
    if footage.is_depth:
        nothing = bright == 0
        return {"without a reading": nothing, "of one depth": ~nothing & (bright == dark)}
    black, white = bright < BLACK, dark > WHITE
    return {"black": black, "washed out": white, "of one grey": ~black & ~white & (bright - dark < FLAT)}
