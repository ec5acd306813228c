"""Where sites of a robot are, and how fast, from its base and joints alone: for simulators that have no sites."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from isthmus_sim.worker.rotations import cross, matrix, rotate

Array = NDArray[Any]


@dataclass(frozen=True)
class _Level:
    """m bodies that hang equally far from the base: their places among all and their parents', their joints' places
    among the joints (of bodies without one, which move with their parents, any, times 0), where they hang in their
    parents' frames, position (m, 3) and rotation (m, 3, 3), their joints' axes (m, 3), these as the matrix of a cross
    product and its square, and anchors (m, 3, 1)."""

    bodies: list[int]
    parents: list[int]
    joints: list[int]
    moves: Array
    position: Array
    rotation: Array
    axis: Array
    turn: Array
    turn_twice: Array
    anchor: Array


class Kinematics:
    """Sites `names` of a model whose first joint is free and whose others are hinges, in n worlds.

    `joints` are the hinges' names in the order of what is given. Bodies equally far from the base are done at once.
    """

    def __init__(self, model: mujoco.MjModel, joints: tuple[str, ...], names: tuple[str, ...]) -> None:
        sites = [int(model.site(name).id) for name in names]
        levels = _levels(model, [int(model.site_bodyid[site]) for site in sites])
        place = {body: i for i, body in enumerate(body for level in levels for body in level)}
        column = {int(model.joint(name).id): i for i, name in enumerate(joints)}
        self._count = len(place)
        self._levels = [_level(model, level, place, column) for level in levels[1:]]
        self._bodies = [place[int(model.site_bodyid[site])] for site in sites]
        self._local = model.site_pos[sites][..., None].copy()

    def __call__(self, root: Array, positions: Array, velocities: Array) -> tuple[Array, Array]:
        """Positions m and velocities m/s (n, s, 3) in the world, of root (n, 13) as workers have it (its angular
        velocity in the base) and joint positions rad and velocities rad/s (n, j)."""
        shape = (len(root), self._count, 3)
        rotation, places, linear, angular = np.empty((*shape, 3)), np.empty(shape), np.empty(shape), np.empty(shape)
        rotation[:, 0], places[:, 0], linear[:, 0] = matrix(root[:, 3:7]), root[:, :3], root[:, 7:10]
        angular[:, 0] = rotate(root[:, 3:7], root[:, 10:13])
        for level in self._levels:
            above, turning = rotation[:, level.parents], angular[:, level.parents]
            offset = (above @ level.position[..., None])[..., 0]
            hung = above @ level.rotation
            angle = (level.moves * positions[:, level.joints])[..., None, None]
            after = hung @ (np.eye(3) + np.sin(angle) * level.turn + (1 - np.cos(angle)) * level.turn_twice)
            rate = (level.moves * velocities[:, level.joints])[..., None]
            faster = turning + rate * (hung @ level.axis[..., None])[..., 0]
            # The anchor stays where it was, and the body turns about it.
            to_anchor = offset + (hung @ level.anchor)[..., 0]
            back = -(after @ level.anchor)[..., 0]
            places[:, level.bodies] = places[:, level.parents] + to_anchor + back
            linear[:, level.bodies] = linear[:, level.parents] + cross(turning, to_anchor) + cross(faster, back)
            rotation[:, level.bodies], angular[:, level.bodies] = after, faster
        arm = (rotation[:, self._bodies] @ self._local)[..., 0]
        return places[:, self._bodies] + arm, linear[:, self._bodies] + cross(angular[:, self._bodies], arm)


def _levels(model: mujoco.MjModel, bodies: list[int]) -> list[list[int]]:
    """These bodies and those that they hang on, by how far they are from the base, which is the first."""
    chains = [_chain(model, body) for body in bodies]
    longest = max(map(len, chains))
    return [list(dict.fromkeys(chain[depth] for chain in chains if depth < len(chain))) for depth in range(longest)]


def _chain(model: mujoco.MjModel, body: int) -> list[int]:
    """The bodies from the base to this one."""
    chain = [body]
    while int(model.body_parentid[chain[0]]) != 0:
        chain.insert(0, int(model.body_parentid[chain[0]]))
    return chain


def _level(model: mujoco.MjModel, bodies: list[int], place: dict[int, int], column: dict[int, int]) -> _Level:
    joints = [int(model.body_jntadr[body]) for body in bodies]
    axis = model.jnt_axis[joints].copy()
    turn = np.cross(axis[:, None], np.eye(3)).swapaxes(-1, -2)
    return _Level(
        bodies=[place[body] for body in bodies],
        parents=[place[int(model.body_parentid[body])] for body in bodies],
        joints=[column.get(joint, 0) for joint in joints],
        moves=np.array([float(joint in column) for joint in joints]),
        position=model.body_pos[bodies].copy(),
        rotation=matrix(model.body_quat[bodies]),
        axis=axis,
        turn=turn,
        turn_twice=turn @ turn,
        anchor=model.jnt_pos[joints][..., None].copy(),
    )
