"""The table of Push-T from above, as the published environments draw it: what cameras of its data sets see."""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus_sim.robots.pusher.description import AGENT_RADIUS, BAR, GOAL, STEM, TABLE

Frame = NDArray[np.uint8]

_GOAL = (144, 238, 144)  # LightGreen
_AGENT, _AGENT_INSIDE = (65, 105, 225), (78, 126, 255)  # RoyalBlue, and 1.2 times as bright
_BLOCK, _BLOCK_INSIDE = (119, 136, 153), (143, 163, 184)  # LightSlateGray
_WALL = (211, 211, 211)  # LightGray
_WALL_LINES = (5, 506)  # px, drawn 4 wide


def image(agent: ArrayLike, block: ArrayLike, *, size: int = 96) -> Frame:
    """(size, size, 3) uint8 RGB: the disc at `agent` (2,) px, the block at `block` (3,) px, px, rad, and the goal.

    Drawn at 512 x 512 without smoothing and made small by linear interpolation, which is why it looks like that.
    """
    canvas = _empty_table().copy()
    x, y = np.rint(np.asarray(agent, np.float64)).astype(int).tolist()
    cv2.circle(canvas, (x, y), int(AGENT_RADIUS), _AGENT, cv2.FILLED)
    cv2.circle(canvas, (x, y), int(AGENT_RADIUS) - 4, _AGENT_INSIDE, cv2.FILLED)
    for corners in _rectangles(np.asarray(block, np.float64)):
        cv2.fillPoly(canvas, [corners], _BLOCK_INSIDE)
        cv2.polylines(canvas, [corners], True, _BLOCK, thickness=4)
    return np.asarray(cv2.resize(canvas, (size, size)), np.uint8)


@functools.cache
def _empty_table() -> Frame:
    """(512, 512, 3): goal and walls."""
    canvas = np.full((int(TABLE), int(TABLE), 3), 255, np.uint8)
    for corners in _rectangles(np.asarray(GOAL)):
        cv2.fillPoly(canvas, [corners], _GOAL)
    cv2.rectangle(canvas, (_WALL_LINES[0],) * 2, (_WALL_LINES[1],) * 2, _WALL, thickness=4)
    return canvas


def _rectangles(pose: NDArray[np.float64]) -> list[NDArray[np.int32]]:
    """Corners (4, 2), in whole pixels, of the T's bar and stem at `pose` (3,)."""
    c, s = np.cos(pose[2]), np.sin(pose[2])
    turned = np.array(((c, s), (-s, c)))
    return [
        np.rint(np.array(((a, b), (d, b), (d, e), (a, e))) @ turned + pose[:2]).astype(np.int32)
        for (a, b), (d, e) in (BAR, STEM)
    ]
