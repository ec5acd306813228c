"""Ranks what may be wrong between the trained world and the robot of a log."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.flight.recorded import Flight
from isthmus_deploy.mismatch import plain
from isthmus_deploy.mismatch.finding import Finding
from isthmus_deploy.mismatch.motion import Motion, motion
from isthmus_deploy.mismatch.shapes import LEAST, Shapes
from isthmus_deploy.mismatch.suspects import KINDS, Suspect, suspects
from isthmus_deploy.mismatch.world import FOUR, World, learn, surprise

_MARGIN = 1.3
_FLOOR = 0.08
_COARSE, _FINALISTS = 64, 4
_NAMED = 3
"""So many kinds are named where one explains more than it may."""
_CALIBRATING = 3
"""Every third sound flight is not learnt from: it says how much a suspect may win by chance."""


class MismatchError(ValueError):
    """A log cannot be judged; the message says what is missing."""


class Finder:
    """Tries a log for everything that may be wrong.

    Args:
        contract: Of the robot.
        world: What sound flights of it have taught.
    """

    def __init__(self, contract: Contract, world: World) -> None:
        self._contract, self._world, self._shapes = contract, world, Shapes(contract, world.lag_s)
        self._suspects = suspects(contract, world.lag_s, world.level)
        self._number = Counter(suspect.kind for suspect in self._suspects)

    def find(self, flight: Flight, policy: Path | None = None) -> list[Finding]:
        """What is wrong, the likeliest first, one of each kind, and what else it may be; empty for a sound log.

        Args:
            flight: Of the contract's robot.
            policy: The file of the policy that was to drive, for what it remembers.

        Raises:
            MismatchError: the log is too short, or of another robot.
            PolicyFileError: the policy's file is none.
        """
        self._contract.check_robot(flight.contract.interface())
        found = seen_plainly(flight, policy)
        moved = self._shapes.standing(motion(flight), self._world.upright)
        if len(moved) < LEAST:
            if found:
                return found
            raise MismatchError(
                f"the log has {len(moved)} ticks in a row in which commands were sent; {LEAST} are needed: let it "
                "stand up and move"
            )
        return [*found, *self._inferred(moved)]

    def _inferred(self, moved: Motion) -> list[Finding]:
        """What explains more than it may in a sound log, the likeliest first; where there is any, up to three kinds in
        all, since what explains most need not be the cause. Every kind is as likely as another beforehand, and each of
        its suspects a share of that: a kind of which more is tried needs to explain more to come first."""
        before = self._world.loss(self._shapes, moved)
        tried = []
        for suspect, after in _best(self._world, self._shapes, self._suspects, moved):
            won = before - after
            score = won - self._world.beyond(math.log(self._number[suspect.kind]))
            tried.append((won > self._world.allowance.get(suspect.kind, np.inf), score, suspect, after))
        enough = sum(beyond for beyond, *_ in tried)
        likeliest = sorted(tried, key=lambda each: each[:2], reverse=True)[: max(enough, _NAMED)] if enough else []
        return [
            Finding(
                kind=suspect.kind,
                score=score,
                words=suspect.words,
                evidence=f"{self._clearest(suspect, moved)}; the log is {before:.2f} away from the trained world, "
                f"{after:.2f} without it" + ("" if beyond else ", which may be by chance"),
            )
            for beyond, score, suspect, after in likeliest
            if beyond or score > 0.0
        ]

    def _clearest(self, suspect: Suspect, moved: Motion) -> str:
        """What a suspect explains best, in words."""
        before, after = (self._world.deviations(self._shapes, each) for each in (moved, suspect.undo(moved)))
        which, answer = np.unravel_index((surprise(before) - surprise(after)).argmax(), before.shape)
        size, left = abs(before[which, answer]), abs(after[which, answer])
        name = self._shapes.names[answer]
        return f"{name} {FOUR[which]}, by {size:.1f} deviations of sound logs, and by {left:.1f} without it"


def _best(
    world: World, shapes: Shapes, tried: Sequence[Suspect], moved: Motion
) -> Iterator[tuple[Suspect, float]]:  # fmt: skip
    """The best suspect of each kind and the loss without it: chosen on some ticks, judged on all."""
    every = max(1, len(moved) // _COARSE)

    def loss(suspect: Suspect, every: int = 1) -> float:
        return world.loss(shapes, suspect.undo(moved), every) + world.beyond(suspect.shrinks)

    coarse: dict[str, list[tuple[float, int]]] = {}
    for place, suspect in enumerate(tried):
        coarse.setdefault(suspect.kind, []).append((loss(suspect, every), place))
    for losses in coarse.values():
        chosen = [tried[place] for _, place in sorted(losses)[:_FINALISTS]]
        after = [loss(suspect) for suspect in chosen]
        best = int(np.argmin(after))
        yield chosen[best], after[best]


def seen_plainly(flight: Flight, policy: Path | None = None) -> list[Finding]:
    """What a log shows without a model of the world. Raises PolicyFileError where the policy's file is none."""
    found = [*plain.clock(flight), *plain.dead(flight)]
    return found + (list(plain.history(flight, policy)) if policy else [])


def learn_world(contract: Contract, flights: Sequence[Flight]) -> World:
    """Learn the trained world of sound flights: at least 12, of different units.

    Raises MismatchError where there are fewer, or one is too short.
    """
    shapes = Shapes(contract)
    motions = [shapes.standing(motion(flight)) for flight in flights]
    short = [len(each) for each in motions if len(each) < LEAST]
    if len(motions) < 12 or short:
        raise MismatchError(
            f"a world is learnt of 12 sound flights or more, each of {LEAST} ticks in which commands were sent; here "
            f"are {len(motions)}{f', one of {short[0]} ticks' if short else ''}"
        )
    kept = motions[::_CALIBRATING]
    world = learn(contract, [each for i, each in enumerate(motions) if i % _CALIBRATING])
    return replace(world, allowance=_allowance(contract, world, kept))


def _allowance(contract: Contract, world: World, kept: Sequence[Motion]) -> dict[str, float]:
    """How much better the best suspect of each kind fits a sound log at most, and some more; at least what so many
    tries are worth."""
    shapes, tried = Shapes(contract, world.lag_s), suspects(contract, world.lag_s, world.level)
    most = dict.fromkeys(KINDS, 0.0)
    number = Counter(suspect.kind for suspect in tried)
    for moved in kept:
        before = world.loss(shapes, moved)
        for suspect, after in _best(world, shapes, tried, moved):
            most[suspect.kind] = max(most[suspect.kind], before - after)
    tries = {kind: world.beyond(math.log(max(1, number[kind]))) for kind in KINDS}
    return {kind: max(_MARGIN * won + _FLOOR, tries[kind]) for kind, won in most.items()}
