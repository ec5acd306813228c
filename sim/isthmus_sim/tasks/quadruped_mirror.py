"""The quadruped's left-right symmetry, as `tasks.quadruped` lays out its observations: pieces, one after the other."""

from __future__ import annotations

from isthmus_sim.robots.quadruped.description import JOINTS
from isthmus_sim.task import Mirror

Piece = tuple[tuple[int, ...], tuple[float, ...]]
"""Of some numbers in a row: which other ones their mirror images are, and with what signs."""


def _signs(*sign: float) -> Piece:
    return tuple(range(len(sign))), sign


_OTHER_LEG = (1, 0, 3, 2)  # by LEGS
_JOINT_SWAP = tuple(3 * leg + link for leg in _OTHER_LEG for link in range(3))
_JOINTS: Piece = (_JOINT_SWAP, tuple(-1.0 if "hip" in name else 1.0 for name in JOINTS))  # hips turn outwards
_PER_JOINT: Piece = (_JOINT_SWAP, (1.0,) * 12)
_PER_FOOT: Piece = (_OTHER_LEG, (1.0,) * 4)
_VECTOR, _SPIN, _SAME = _signs(1, -1, 1), _signs(-1, 1, -1), _signs(1)
_FELT = (_SPIN, _VECTOR, _JOINTS, _JOINTS)  # gyro, gravity, positions, velocities
_FRAME = (*_FELT, _JOINTS)  # and the action
_ASKED = (_signs(1, -1, -1, -1, -1),)  # the clock half a cycle on: the other diagonal's turn

FRAME_SIZE = sum(len(index) for index, _ in _FRAME)
"""How many numbers the policy remembers of a control step."""


def _joined(*pieces: Piece) -> Mirror:
    index: list[int] = []
    sign: list[float] = []
    for places, signs in pieces:
        index += [len(sign) + place for place in places]
        sign += signs
    return Mirror(index=tuple(index), sign=tuple(sign))


def _scanned(forward: int, left: int) -> Piece:
    index = tuple(row * left + (left - 1 - column) for row in range(forward) for column in range(left))
    return index, (1.0,) * len(index)


ACTION = _joined(_JOINTS)


def actor_mirror(history: int) -> Mirror:
    """Of the actor's observation with `history` remembered control steps."""
    return _joined(*_FELT, *_ASKED, *_FRAME * history)


def critic_mirror(scan: tuple[int, int]) -> Mirror:
    """Of the critic's, with the ground's height at so many places forward times left."""
    drawn = (_SAME, _SAME, _VECTOR, _SAME, _PER_JOINT, _SAME, _SAME, _VECTOR)
    return _joined(*_FELT, *_ASKED, _JOINTS, _VECTOR, _SAME, _PER_FOOT, _PER_FOOT, *drawn, _scanned(*scan))
