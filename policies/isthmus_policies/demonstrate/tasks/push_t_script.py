"""A scripted operator of Push-T: it knows how the block answers a push, and pushes where that helps most.

The block has no momentum (`robots/pusher.py`): a disc that advances by d along the normal n of a contact moves it by
the twist λ·(n/m, (c × n)/I), c from the centre of mass to the contact, with λ = d / (1/m + (c × n)²/I), so that the
contact goes along. Every step the script looks which contact on the outline brings the block closest to the goal by
such a push, goes there around the block, and pushes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.recording.robot import Observation
from isthmus_datasets.recording.scripted import ScriptedOperator
from isthmus_policies.demonstrate.features import signals_of
from isthmus_sim.robots.pusher.description import (
    AGENT_RADIUS,
    BAR,
    BLOCK_CENTRE,
    BLOCK_INERTIA,
    GOAL,
    OUTLINE,
    ROBOT,
    STEM,
)

Vector = NDArray[np.float64]

_TURN = 45.0  # px: a turn by 1 rad is as far from the goal as this
_EVERY = 7.0  # px between contacts
_ROOM = 12.0  # px between the disc and the block while it goes around
_AHEAD = 26.0  # px: the target is so far beyond the contact; of that the disc goes about a quarter in a step
_PATIENCE = 12  # steps with one contact
_STRAY = 20.0  # px: how far a hand without skill is from where it should be


def rotation(angle: float) -> Vector:
    """(2, 2): from the block's frame to the table's."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array(((c, -s), (s, c)))


def distance(points: Vector) -> Vector:
    """(n,) px: from points (n, 2) in the block's frame to the block; 0 inside."""
    outside = [
        np.maximum(np.maximum(np.array(low) - points, points - np.array(high)), 0.0) for low, high in (BAR, STEM)
    ]
    return np.minimum(*(np.linalg.norm(gap, axis=1) for gap in outside))


def contacts() -> tuple[Vector, Vector]:
    """Points on the outline (n, 2) where the disc can touch, and the outward normals (n, 2), in the block's frame."""
    corners = np.array(OUTLINE)
    points, normals = [], []
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        length = float(np.linalg.norm(b - a))
        along = (b - a) / length
        for place in np.arange(0.5 * _EVERY, length, _EVERY):
            points.append(a + place * along)
            normals.append((along[1], -along[0]))
    where, out = np.array(points), np.array(normals)
    out *= np.where(distance(where + out) > distance(where - out), 1.0, -1.0)[:, None]
    free = distance(where + (AGENT_RADIUS + 1.0) * out) > AGENT_RADIUS - 0.5
    return where[free], out[free]


class PushTScript(ScriptedOperator):
    """Pushes the block into the goal, in most episodes within the published 300 steps.

    Args:
        steps: Longest episode.
        noise: Standard deviation of the targets, px.
        skill: From 0 to 1; with less of it, fewer episodes succeed. See `NoisyExpert`.
        name: For the dataset.
    """

    def __init__(self, *, steps: int = 300, noise: float = 0.0, skill: float = 1.0, name: str = "script") -> None:
        self._points, self._normals = contacts()
        super().__init__(steps=steps, noise=noise, skill=skill, stray=_STRAY, name=name)

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self._contact, self._since = -1, 0

    def plan(self, observation: Observation, step: int) -> NDArray[np.float32]:
        """Where the disc shall go (2,) px."""
        signals = {name: value.astype(np.float64) for name, value in signals_of(ROBOT, observation).items()}
        agent, origin, angle = signals["agent_position"], signals["block_position"], float(signals["block_angle"][0])
        turned = rotation(angle)
        advance = float(np.clip(0.6 * self._error(origin[None], np.array([angle]))[0], 2.0, 20.0))
        self._choose((agent - origin) @ turned, origin, angle, advance)
        return (origin + turned @ self._target((agent - origin) @ turned, advance)).astype(np.float32)

    def _error(self, origin: Vector, angle: Vector) -> Vector:
        """(n,) px: how far poses are from the goal."""
        turn = np.remainder(angle - GOAL[2] + math.pi, 2 * math.pi) - math.pi
        centre, wanted = (o + BLOCK_CENTRE * np.stack((-np.sin(a), np.cos(a)), axis=-1)
                          for o, a in ((origin, angle), (np.array(GOAL[:2]), np.array(GOAL[2]))))  # fmt: skip
        return np.hypot(np.linalg.norm(centre - wanted, axis=-1), _TURN * turn)

    def _choose(self, agent: Vector, origin: Vector, angle: float, advance: float) -> None:
        """The contact to push at: the one at hand as long as it helps, else the best, those at hand preferred."""
        after = self._after(origin, angle, advance)
        now = float(self._error(origin[None], np.array([angle]))[0])
        self._since += 1
        if self._contact >= 0 and self._since < _PATIENCE and after[self._contact] < now - 0.25 * (now - after.min()):
            return
        way = np.linalg.norm(self._points + AGENT_RADIUS * self._normals - agent, axis=1)
        self._contact, self._since = int(np.argmin(after + 0.01 * advance * way / 20.0)), 0

    def _after(self, origin: Vector, angle: float, advance: float) -> Vector:
        """(n,) px: how far the block is from the goal after a push at each contact."""
        lever = self._points - (0.0, BLOCK_CENTRE)
        push = -self._normals
        arm = lever[:, 0] * push[:, 1] - lever[:, 1] * push[:, 0]
        strength = advance / (1.0 + arm**2 / BLOCK_INERTIA)
        angles = angle + strength * arm / BLOCK_INERTIA
        centre = origin + rotation(angle) @ (0.0, BLOCK_CENTRE) + (strength[:, None] * push) @ rotation(angle).T
        return self._error(centre - BLOCK_CENTRE * np.stack((-np.sin(angles), np.cos(angles)), axis=-1), angles)

    def _target(self, agent: Vector, advance: float) -> Vector:
        """(2,) px, in the block's frame: through the contact from behind it, else to behind it, else around."""
        point, normal = self._points[self._contact], self._normals[self._contact]
        off = agent - point
        aside, behind = abs(off[0] * normal[1] - off[1] * normal[0]), float(off @ normal)
        if aside < 5.0 and 0.0 < behind < AGENT_RADIUS + 2 * _ROOM:
            return point + (AGENT_RADIUS - min(_AHEAD, 1.5 * advance + 2.0)) * normal
        behind_it = point + (AGENT_RADIUS + _ROOM) * normal
        way = agent + np.linspace(0.0, 1.0, 24)[:, None] * (behind_it - agent)
        clear = distance(way) > AGENT_RADIUS + 1.0
        return behind_it if clear[2:].all() else self._around(agent, behind_it)

    def _around(self, agent: Vector, goal: Vector) -> Vector:
        """A step of the way around the block's middle, the shorter way."""
        middle = np.array((0.0, BLOCK_CENTRE))
        here, there = (math.atan2(*(place - middle)[::-1]) for place in (agent, goal))
        turn = (there - here + math.pi) % (2 * math.pi) - math.pi
        angle = here + math.copysign(min(0.7, abs(turn)), turn)
        return middle + 110.0 * np.array((math.cos(angle), math.sin(angle)))
