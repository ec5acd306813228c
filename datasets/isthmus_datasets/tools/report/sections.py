"""The parts of the page that show the data."""

from __future__ import annotations

import numpy as np

from isthmus_datasets.tools.checks.correlation import estimate
from isthmus_datasets.tools.report import plots
from isthmus_datasets.tools.report.agreement import agreement, operator_of
from isthmus_datasets.tools.report.html import film, section, table
from isthmus_datasets.tools.report.smoothness import action_smoothness
from isthmus_datasets.tools.report.starts import BINS, starts
from isthmus_datasets.tools.scan.dataset_scan import DatasetScan

LIMIT = 24  # channels
ROUGHEST = 5  # episodes


def images(evidence: DatasetScan) -> str:
    """Beginning, middle and end of a few episodes, camera by camera."""
    parts = []
    for camera in (name for name, feature in evidence.info.features.items() if feature.is_image):
        shown = [(seen, seen.footage[camera].thumbnails) for seen in evidence.episodes if camera in seen.footage]
        films = [film(p, f"episode {seen.index}") for seen, p in shown if p is not None]
        if films:
            parts.append(f"<b>{camera}</b><div class='film'>{''.join(films)}</div>")
    text = "Beginning, middle and end of episodes, evenly chosen from first to last."
    return section("Images", text, *parts) if parts else ""


def durations(evidence: DatasetScan) -> str:
    """How long episodes take."""
    seconds = np.array([seen.row.length for seen in evidence.episodes]) / evidence.info.fps
    text = "How long episodes take. A tail to the right may be waiting, or a recording that nobody stopped."
    return section("Durations", text, plots.durations(seconds)) if len(seconds) else ""


def start_states(evidence: DatasetScan) -> str:
    """Where episodes start."""
    found = starts(evidence, LIMIT)
    if found is None:
        return ""
    text = (
        "A dot is where an episode starts; the bar is what the channel reaches in 98 of 100 steps of all episodes. The "
        f"number is how much of it is covered: of {BINS} equal parts, those in which an episode starts. A "
        "policy has seen nothing of starts where there is no dot. From above: along the two directions in which starts "
        "differ most, with their share of the variance; gaps are combinations that are missing."
    )
    return section("Start states", text, plots.start_states(found))


def actions(evidence: DatasetScan) -> str:
    """What actions were taken."""
    names = [name for name in evidence.numbers("action") if len(evidence.all_of(name))]
    if not names:
        return ""
    name = "action" if "action" in names else names[0]
    others = [n for n in names if n != name and evidence.info.features[n].shape == evidence.info.features[name].shape]
    drawn = [evidence.all_of(n) for n in (name, *others[:1])]
    channels = {evidence.channel(name, c): [values[:, c] for values in drawn] for c in range(drawn[0].shape[1])}
    kept = dict(list(channels.items())[:LIMIT])
    text = (
        "How often each value was asked for. A peak at an end is a limit that was reached; one peak alone, a channel "
    )
    text += "that hardly moves." + (f" The first {LIMIT} of {len(channels)} channels." if len(channels) > LIMIT else "")
    return section("Actions", text, plots.histograms(kept, (name, *others[:1])))


def delays(evidence: DatasetScan) -> str:
    """How late the state follows the action."""
    found = estimate(evidence)
    if not found:
        return ""
    rows = [
        (d.action, d.state, f"{d.steps / evidence.info.fps:+.3f}", f"{d.steps:+.1f}", f"{d.correlation:.2f}",
         f"{np.percentile(d.each_steps, 5):+.1f} … {np.percentile(d.each_steps, 95):+.1f}")
        for d in found
    ]  # fmt: skip
    text = (
        "How late the state follows the action, by cross-correlation of their changes; negative: it moves before. The "
        "correlation at that delay says how sure it is, and its sign whether both move the same way."
    )
    head = ("action", "state", "delay, s", "steps", "correlation", "steps in 90 of 100 episodes")
    return section("Delay from action to state", text, table(head, rows, numbers=(2, 3, 4, 5)))


def smoothness(evidence: DatasetScan) -> str:
    """How smooth each episode is."""
    values = action_smoothness(evidence)
    if not values:
        return ""
    failed = {seen.index for seen in evidence.episodes if seen.row.facts.get("success") is False}
    roughest = sorted(values, key=values.__getitem__)[:ROUGHEST]
    text = (
        "Spectral arc length of the action: 0 at best, about −1.4 for one reach, less for every stop and jerk, so "
        "longer episodes have less. Compare episodes with one another. Least smooth: "
        + ", ".join(f"{index} ({values[index]:.1f})" for index in roughest)
    )
    return section("Smoothness", text, plots.smoothness(values, failed))


def operators(evidence: DatasetScan) -> str:
    """Who did what, and whether they agree."""
    found = agreement(evidence, estimate(evidence))
    smooth = action_smoothness(evidence)
    names = sorted({operator_of(seen.row.facts) for seen in evidence.episodes})
    rows = []
    for name in names:
        mine = [seen for seen in evidence.episodes if operator_of(seen.row.facts) == name]
        said = [bool(s.row.facts["success"]) for s in mine if "success" in s.row.facts]
        values = [smooth[s.index] for s in mine if s.index in smooth]
        agreed = found.values[found.operators.index(name)] if found and name in found.operators else np.array([])
        rows.append((
            name, str(len(mine)), f"{np.median([s.row.length for s in mine]) / evidence.info.fps:.1f}",
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


def features(evidence: DatasetScan) -> str:
    """What is recorded."""
    rows = []
    for name, feature in evidence.info.features.items():
        names = ", ".join(feature.names) if feature.names else ""
        rows.append((name, feature.dtype, " × ".join(map(str, feature.shape)), names))
    return section("Features", "What a step holds.", table(("feature", "type", "shape", "elements"), rows))


ALL = (images, durations, start_states, actions, delays, smoothness, operators, features)
