"""Named quantities of a scene, put into a compiled model of it: where everything is."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np
from numpy.typing import NDArray

from isthmus_sim.engines.mujoco_model import Columns, base_joint, joint_columns
from isthmus_sim.scene import Quantity, Scene

Vector = NDArray[np.float64]
_FIRST_COLUMN = {"position": 0, "orientation": 3}
"""Kind -> its first column within a free joint's."""


class Poser:
    """Where the quantities of a scene are in a model of it. What the scene does not read stays as the model has it."""

    def __init__(self, scene: Scene, model: mujoco.MjModel) -> None:
        self._model = model
        self._columns = {q.name: _columns(q, model) for q in scene.quantities if _is_in_qpos(q)}
        self._mocap = {
            q.name: (int(model.body(q.of[0]).mocapid[0]), q.shape[0])
            for q in scene.quantities
            if q.kind == "mocap_position"
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The quantities that say where things are."""
        return (*self._columns, *self._mocap)

    def check(self, state: Mapping[str, Vector]) -> None:
        """Raise ValueError naming the quantities that `state` lacks."""
        lacking = [name for name in self.names if name not in state]
        if lacking:
            raise ValueError(f"to draw this movement, its record lacks {', '.join(lacking)}")

    def pose(self, data: mujoco.MjData, state: Mapping[str, Vector]) -> None:
        """Put everything where `state` (name -> (*shape)) has it, sites and geoms included."""
        for name, columns in self._columns.items():
            data.qpos[columns] = state[name]
        for name, (number, size) in self._mocap.items():
            data.mocap_pos[number, :size] = state[name]
        mujoco.mj_kinematics(self._model, data)  # which also makes a blend of two quaternions a unit one


def _is_in_qpos(quantity: Quantity) -> bool:
    return quantity.kind in _FIRST_COLUMN or quantity.kind == "joint_position"


def _columns(quantity: Quantity, model: mujoco.MjModel) -> Columns:
    if quantity.kind == "joint_position":
        return joint_columns(model, quantity.of)[0]
    first = base_joint(model, quantity.of[0])[0] + _FIRST_COLUMN[quantity.kind]
    return slice(first, first + quantity.shape[0])
