"""The parts of the page that show the data."""

from __future__ import annotations

import numpy as np

from isthmus_datasets.tools.checks.correlation import estimate
from isthmus_datasets.tools.report import plots
from isthmus_datasets.tools.report.html import film, section, table
from isthmus_datasets.tools.report.operator_agreement import agreement, operator_of
from isthmus_datasets.tools.report.smoothness import action_smoothness
from isthmus_datasets.tools.report.starts import BINS, starts
from isthmus_datasets.tools.scan.dataset_scan import DatasetScan

LIMIT = 24  # channels
ROUGHEST = 5  # episodes


def images(scan: DatasetScan) -> str:
    """Beginning, middle and end of a few episodes, camera by camera."""
    parts = []
    for camera in (name for name, feature in scan.info.features.items() if feature.is_image):
        shown = [
            (episode, episode.footage[camera].thumbnails) for episode in scan.episodes if camera in episode.footage
        ]
        films = [film(p, f"episode {episode.index}") for episode, p in shown if p is not None]
        if films:
            parts.append(f"<b>{camera}</b><div class='film'>{''.join(films)}</div>")
    text = "Beginning, middle and end of episodes, evenly chosen from first to last."
    return section("Images", text, *parts) if parts else ""


def durations(scan: DatasetScan) -> str:
    """How long episodes take."""
    seconds = np.array([episode.row.length for episode in scan.episodes]) / scan.info.fps
    text = "How long episodes take. A tail to the right may be waiting, or a recording that nobody stopped."
    return section("Durations", text, plots.durations(seconds)) if len(seconds) else ""


def start_states(scan: DatasetScan) -> str:
    """Where episodes start."""
    found = starts(scan, LIMIT)
    if found is None:
        return ""
    text = (
        "A dot is where an episode starts; the bar is what the channel reaches in 98 of 100 steps of all episodes. The "
        f"number is how much of it is covered: of {BINS} equal parts, those in which an episode starts. A "
        "policy has seen nothing of starts where there is no dot. From above: along the two directions in which starts "
        "differ most, with their share of the variance; gaps are combinations that are missing."
    )
    return section("Start states", text, plots.start_states(found))


def actions(scan: DatasetScan) -> str:
    """What actions were taken."""
    names = [name for name in scan.actions() if len(scan.all_of(name))]
    if not names:
        return ""
    name = "action" if "action" in names else names[0]
    others = [n for n in names if n != name and scan.info.features[n].shape == scan.info.features[name].shape]
    drawn = [scan.all_of(n) for n in (name, *others[:1])]
    channels = {scan.channel(name, c): [values[:, c] for values in drawn] for c in range(drawn[0].shape[1])}
    kept = dict(list(channels.items())[:LIMIT])
    text = (
        "How often each value was asked for. A peak at an end is a limit that was reached; one peak alone, a channel "
    )
    text += "that hardly moves." + (f" The first {LIMIT} of {len(channels)} channels." if len(channels) > LIMIT else "")
    return section("Actions", text, plots.histograms(kept, (name, *others[:1])))


def delays(scan: DatasetScan) -> str:
    """How late the state follows the action."""
    found = estimate(scan)
    if not found:
        return ""
    rows = [
        (d.action, d.state, f"{d.steps / scan.info.fps:+.3f}", f"{d.steps:+.1f}", f"{d.correlation:.2f}",
         f"{np.percentile(d.each_steps, 5):+.1f} … {np.percentile(d.each_steps, 95):+.1f}")
        for d in found
    ]  # fmt: skip
    text = (
        "How late the state follows the action, by cross-correlation of their changes; negative: it moves before. The "
        "correlation at that delay says how sure it is, and its sign whether both move the same way."
    )
    head = ("action", "state", "delay, s", "steps", "correlation", "steps in 90 of 100 episodes")
    return section("Delay from action to state", text, table(head, rows, numbers=(2, 3, 4, 5)))


def smoothness(scan: DatasetScan) -> str:
    """How smooth each episode is."""
    values = action_smoothness(scan)
    if not values:
        return ""
    failed = {episode.index for episode in scan.episodes if episode.row.facts.get("success") is False}
    roughest = sorted(values, key=values.__getitem__)[:ROUGHEST]
    text = (
        "Spectral arc length of the action: 0 at best, about −1.4 for one reach, less for every stop and jerk, so "
        "longer episodes have less. Compare episodes with one another. Least smooth: "
        + ", ".join(f"{index} ({values[index]:.1f})" for index in roughest)
    )
    return section("Smoothness", text, plots.smoothness(values, failed))


def operators(scan: DatasetScan) -> str:
    """Who did what, and whether they agree."""
    found = agreement(scan, estimate(scan))
    smooth = action_smoothness(scan)
    names = sorted({operator_of(episode.row.facts) for episode in scan.episodes})
    rows = []
    for name in names:
        mine = [episode for episode in scan.episodes if operator_of(episode.row.facts) == name]
        said = [bool(s.row.facts["success"]) for s in mine if "success" in s.row.facts]
        values = [smooth[s.index] for s in mine if s.index in smooth]
        agreed = found.values[found.operators.index(name)] if found and name in found.operators else np.array([])
        rows.append((
            name, str(len(mine)), f"{np.median([s.row.length for s in mine]) / scan.info.fps:.1f}",
            f"{np.mean(said):.0%}" if said else "–", f"{np.median(values):.1f}" if values else "–",
            *(f"{value:.2f}" if np.isfinite(value) else "–" for value in agreed),
        ))  # fmt: skip
    text = (
        "Agreement: how much an operator's action is that of another episode, by the operator named, in the most "
        "similar state: 1 the same, 0 no more than any action. Little agreement is several ways to do it, or noise."
    )
    head = ("operator", "episodes", "median, s", "success", "smoothness")
    others = found.operators if found else []
    head += ("agreement",) if len(others) == 1 else tuple(f"agrees with {name}" for name in others)
    return section("Operators", text, table(head, rows, numbers=range(1, len(head)))) if rows else ""


def features(scan: DatasetScan) -> str:
    """What is recorded."""
    rows = []
    for name, feature in scan.info.features.items():
        names = ", ".join(feature.names) if feature.names else ""
        rows.append((name, feature.dtype, " × ".join(map(str, feature.shape)), names))
    return section("Features", "What a step holds.", table(("feature", "type", "shape", "elements"), rows))


ALL = (images, durations, start_states, actions, delays, smoothness, operators, features)
