"""How long after an action the state follows, by cross-correlation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.tools.scan.dataset_scan import OBSERVED, DatasetScan

LONGEST_S = 1.0
MIN_STEPS = 20
CONFIDENT = 0.6
"""The least correlation at the best delay for which the delay means something."""
MAX_CHANNELS = 64

Curves = NDArray[np.float64]
Channel = tuple[str, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Delay:
    """The delay of one channel of the action, over all episodes that are long enough, E of them.

    Args:
        action, state: What the channels are called: the state is the one that follows this action best.
        action_channel, state_channel: Column and number of each.
        target: The action is where the state shall go, not how fast.
        steps: By how many steps the state follows, median over the episodes; negative: it moves before.
        correlation: Correlation of the changes at that delay, mean over the episodes; negative: it moves the other way.
        episodes: (E,) their indices.
        each_steps, each_correlation: (E,) the same, episode by episode.
        usual_correlation: (E,) of each episode at the delay of all.
    """

    action: str
    state: str
    action_channel: Channel
    state_channel: Channel
    target: bool
    steps: float
    correlation: float
    episodes: NDArray[np.int64]
    each_steps: NDArray[np.float64]
    each_correlation: NDArray[np.float64]
    usual_correlation: NDArray[np.float64]


def estimate(scan: DatasetScan) -> list[Delay]:
    """For every channel of the action that a channel of the state follows: correlation of at least `CONFIDENT`.

    An action may be a target, which the state reaches, or a speed or a step, which the state adds up: its changes or
    itself are compared with the state's changes, whichever agrees better. A state that is in the next row where the
    action wanted it has a delay of one step.
    """
    action = "action" if "action" in scan.info.features else next(iter(scan.actions()), None)
    states = _states(scan)
    if action is None or not states:
        return []
    longest = round(LONGEST_S * scan.info.fps)
    episodes, curves = [], []
    for episode, wanted in scan.of(action):
        if episode.rows < max(MIN_STEPS, 3 * longest) or any(name not in episode.columns for name, _ in states):
            continue
        state = np.stack([episode.columns[name].reshape(episode.rows, -1)[:, c] for name, c in states], axis=1)
        if np.isfinite(wanted).all() and np.isfinite(state).all():
            episodes.append(episode.index)
            curves.append(_curves(wanted, state, longest))
    if not episodes:
        return []
    stacked = np.stack(curves)
    found = [_delay(scan, action, states, c, np.array(episodes), stacked) for c in range(stacked.shape[3])]
    return [delay for delay in found if delay and abs(delay.correlation) >= CONFIDENT]


def _states(scan: DatasetScan) -> list[Channel]:
    """Channels of the state: of the column that is called so, or else of every observation that is numbers."""
    names = scan.numbers(*OBSERVED)
    names = [name for name in names if name in ("observation.state", "state")] or names
    channels = [(n, c) for n in names for c in range(int(np.prod(scan.info.features[n].shape)))]
    return channels[:MAX_CHANNELS]


def _curves(action: NDArray[Any], state: NDArray[Any], longest: int) -> Curves:
    """(2, lags, A, S): correlation of the action's changes, and of the action, with the state's changes, for lags from
    `-longest` to `longest` steps."""
    moved = np.diff(state.astype(np.float64), axis=0)
    kinds = np.diff(action.astype(np.float64), axis=0), action[:-1].astype(np.float64)
    result = np.zeros((2, 2 * longest + 1, action.shape[1], state.shape[1]))
    for kind, values in enumerate(kinds):
        for lag in range(-longest, longest + 1):
            before, after = (values[: len(values) - lag], moved[lag:]) if lag >= 0 else (values[-lag:], moved[:lag])
            result[kind, lag + longest] = _correlation(before, after)
    # A target is reached when the state's change ends, a speed acts from when it begins: one step between the two.
    result[1] = np.roll(result[1], 1, axis=0)
    result[1, 0] = 0.0
    return result


def _correlation(x: Curves, y: Curves) -> Curves:
    """(A, S) of (T, A) and (T, S); 0 where one does not change."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    scale = np.sqrt((x**2).sum(axis=0))[:, None] * np.sqrt((y**2).sum(axis=0))
    return np.divide(x.T @ y, scale, out=np.zeros_like(scale), where=scale > 1e-12)


def _delay(
    scan: DatasetScan,
    action: str,
    states: list[Channel],
    channel: int,
    episodes: NDArray[np.int64],
    curves: NDArray[np.float64],
) -> Delay | None:
    """`curves` (E, 2, lags, A, S)."""
    mine = curves[:, :, :, channel]
    mean = mine.mean(axis=0)
    allowed = _same_name(scan, action, channel, states)
    kind, lag, state = np.unravel_index(np.abs(np.where(allowed, mean, 0.0)).argmax(), mean.shape)
    if mean[kind, lag, state] == 0.0:
        return None
    longest = mean.shape[1] // 2
    each = mine[:, kind, :, state]
    best = np.abs(each).argmax(axis=1)
    correlation = each[np.arange(len(each)), best]
    steps = np.array([_peak(np.abs(e), int(b)) for e, b in zip(each, best, strict=True)]) - longest
    sure = np.abs(correlation) >= CONFIDENT
    return Delay(
        action=scan.channel(action, channel),
        state=scan.channel(*states[int(state)]),
        action_channel=(action, channel),
        state_channel=states[int(state)],
        target=kind == 0,
        steps=float(np.median(steps[sure])) if sure.any() else float(lag) - longest,
        correlation=float(mean[kind, lag, state]),
        episodes=episodes,
        each_steps=steps,
        each_correlation=correlation,
        usual_correlation=each[:, lag],
    )


def _same_name(scan: DatasetScan, action: str, channel: int, states: list[Channel]) -> NDArray[np.bool_]:
    """(S,): the states that are called as the action's channel, or all where none is."""
    features = scan.info.features
    names = features[action].names
    called = [features[name].names for name, _ in states]
    wanted = names[channel % len(names)] if names else None
    same = [
        bool(n) and wanted is not None and n[c % len(n)] == wanted for n, (_, c) in zip(called, states, strict=True)
    ]
    return np.array(same) if any(same) else np.ones(len(states), bool)


def _peak(curve: Curves, top: int) -> float:
    """Where a parabola through the highest point and its neighbours is highest."""
    if not 0 < top < len(curve) - 1:
        return float(top)
    left, middle, right = curve[top - 1 : top + 2]
    bend = left - 2 * middle + right
    return float(top) if bend >= 0 else top + 0.5 * float((left - right) / bend)
