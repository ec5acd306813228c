"""How each kind of quantity is read from MuJoCo's worlds, and how resets write it."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import mujoco
import torch
from torch import Tensor

from isthmus_sim.engine import Params, UnsupportedError
from isthmus_sim.engines.mujoco_drives import Drive, columns, joint_columns
from isthmus_sim.engines.mujoco_model import SITE_SENSORS, base_joint, sensor_columns, sensor_name
from isthmus_sim.scene import Quantity, Scene

Read = Callable[[], Tensor]
Write = Callable[[Tensor, Tensor], None]
"""`write(ids, rows)`: put k rows into worlds `ids` (k,)."""


class Worlds(Protocol):
    """What quantities are read from: live float64 tensors, and the drives."""

    scene: Scene
    num_envs: int
    model: Any
    batch: Any
    qpos: Tensor
    qvel: Tensor
    mocap: Tensor
    params: Params
    drives: Sequence[Drive]

    @property
    def images(self) -> dict[str, Tensor]: ...


def reading(worlds: Worlds, quantity: Quantity) -> Read:
    """A function that reads (num_envs, *shape) float32. Raises UnsupportedError where nothing tells it."""
    kind = quantity.kind
    if kind in _FREE_BODY or kind in _JOINTS:
        live, index = _state_columns(worlds, quantity)
        return lambda: live[:, index].float()
    if kind in ("joint_torque", "joint_power", "actuator"):
        return _reading_of_drives(worlds, quantity)
    if kind in SITE_SENSORS or kind == "sensor":
        return _reading_of_sensors(worlds, quantity)
    if kind == "mocap_position":
        live = worlds.mocap[:, _mocap(worlds, quantity)]
        return lambda: live[:, : quantity.shape[0]].float()
    if kind == "camera":
        return lambda: worlds.images[quantity.name].clone()
    return lambda: worlds.params[quantity.of[0]]


def writing(worlds: Worlds, quantity: Quantity) -> Write:
    """A function that writes a settable quantity."""
    kind = quantity.kind
    if kind in _FREE_BODY or kind in _JOINTS:
        return _into(*_state_columns(worlds, quantity))
    if kind == "mocap_position":
        return _into(worlds.mocap[:, _mocap(worlds, quantity)], slice(0, quantity.shape[0]))
    return lambda ids, rows: _write_drives(worlds, ids, rows)


def stage_of(scene: Scene) -> int | None:
    """How far a reset world must be computed before it is read; None: not at all."""
    kinds = {quantity.kind for quantity in scene.quantities}
    if "sensor" in kinds:
        return mujoco.mjtStage.mjSTAGE_ACC
    return mujoco.mjtStage.mjSTAGE_VEL if kinds & set(SITE_SENSORS) else None


_FREE_BODY = {"position": 0, "orientation": 3, "linear_velocity": 0, "angular_velocity": 3}
"""Kind -> its first column within a free joint's."""
_JOINTS = ("joint_position", "joint_velocity")


def _state_columns(worlds: Worlds, quantity: Quantity) -> tuple[Tensor, slice | list[int]]:
    """The live tensor that holds it, and in which columns."""
    kind, of = quantity.kind, quantity.of
    moves = kind.endswith("velocity")
    live = worlds.qvel if moves else worlds.qpos
    if kind in _JOINTS:
        return live, joint_columns(worlds.model, of)[moves]
    first = base_joint(worlds.model, of[0])[moves] + _FREE_BODY[kind]
    return live, slice(first, first + quantity.shape[0])


def _reading_of_drives(worlds: Worlds, quantity: Quantity) -> Read:
    kind = quantity.kind
    found = [drive.remembered if kind == "actuator" else drive.memory.get(kind) for drive in worlds.drives]
    told = [live for live in found if live is not None]
    if not told:
        kinds = ", ".join(type(actuator).__name__ for actuator in worlds.scene.robot.actuators) or "none"
        raise UnsupportedError(f"{quantity.name}: the robot's actuators ({kinds}) tell no {kind}")
    return lambda: torch.cat(told, dim=-1)


def _write_drives(worlds: Worlds, ids: Tensor, rows: Tensor) -> None:
    remembering = [drive.remembered for drive in worlds.drives if drive.remembered is not None]
    for live, part in zip(remembering, rows.split([live.shape[1] for live in remembering], dim=-1), strict=True):
        live[ids] = part


def _reading_of_sensors(worlds: Worlds, quantity: Quantity) -> Read:
    of_sites = quantity.kind in SITE_SENSORS
    names = [sensor_name(quantity.kind, site) for site in quantity.of] if of_sites else list(quantity.of)
    index, data = columns(sensor_columns(worlds.model, names)), worlds.batch.bind("sensordata")
    shape = (worlds.num_envs, *quantity.shape)
    return lambda: torch.tensor(data[:, index], dtype=torch.float32).reshape(shape)


def _mocap(worlds: Worlds, quantity: Quantity) -> int:
    return int(worlds.model.body_mocapid[worlds.model.body(quantity.of[0]).id])


def _into(live: Tensor, index: slice | list[int]) -> Write:
    def write(ids: Tensor, rows: Tensor) -> None:
        whole = live[ids]
        whole[:, index] = rows.to(whole.dtype)
        live[ids] = whole

    return write
