"""How each kind of quantity is read from worlds of a MuJoCo model, on CPU or GPU, and how resets write it."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from isthmus_sim.engine import Params, UnsupportedError
from isthmus_sim.engines.mujoco_model import (
    SITE_SENSORS,
    Columns,
    base_joint,
    columns,
    joint_columns,
    sensor_columns,
    sensor_name,
)
from isthmus_sim.scene import Quantity, Scene

Read = Callable[[], Tensor]
Write = Callable[[Tensor, Tensor], None]
"""`write(ids, rows)`: put k rows into worlds `ids` (k,)."""


class Memory(Protocol):
    """What an actuator of n worlds remembers, and what of it is read."""

    joints: tuple[str, ...]
    """Whose torque and power it tells, in the order of its memory; none where it tells none."""
    memory: dict[str, Tensor]
    """What it remembers from one control period to the next, live; "joint_torque" and "joint_power" of `joints` too."""
    remembered: Tensor | None
    """That of it which makes the difference to the next period, live: the quantity "actuator"."""


class Worlds(Protocol):
    """What quantities are read from: live tensors (num_envs, ...), and the drives."""

    scene: Scene
    num_envs: int
    model: Any
    qpos: Tensor
    qvel: Tensor
    mocap: Tensor
    params: Params
    images: dict[str, Tensor]
    """What cameras see, (num_envs, height, width, 3) uint8 by quantity, live."""

    @property
    def drives(self) -> Sequence[Memory]: ...

    def sensors(self, found: Columns) -> Read:
        """A function that reads these columns of the sensor data, (num_envs, k) float32."""
        ...


def reading(worlds: Worlds, quantity: Quantity) -> Read:
    """A function that reads (num_envs, *shape) float32. Raises UnsupportedError where nothing tells it."""
    kind = quantity.kind
    if kind in _FREE_BODY or kind in _JOINTS:
        live, index = _state_columns(worlds, quantity)
        return lambda: live[:, index].float()
    if kind in ("joint_torque", "joint_power"):
        return _reading_of_joint_load(worlds, quantity)
    if kind == "actuator":
        return _reading_of_memory(worlds, quantity)
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
    return lambda ids, rows: _write_memory(worlds, ids, rows)


_FREE_BODY = {"position": 0, "orientation": 3, "linear_velocity": 0, "angular_velocity": 3}
"""Kind -> its first column within a free joint's."""
_JOINTS = ("joint_position", "joint_velocity")


def _state_columns(worlds: Worlds, quantity: Quantity) -> tuple[Tensor, slice | Tensor]:
    """The live tensor that holds it, and in which columns."""
    kind, of = quantity.kind, quantity.of
    moves = kind.endswith("velocity")
    live = worlds.qvel if moves else worlds.qpos
    if kind in _JOINTS:
        return live, index_of(joint_columns(worlds.model, of)[moves], live)
    first = base_joint(worlds.model, of[0])[moves] + _FREE_BODY[kind]
    return live, slice(first, first + quantity.shape[0])


def _reading_of_joint_load(worlds: Worlds, quantity: Quantity) -> Read:
    kind = quantity.kind
    names = [name for drive in worlds.drives for name in drive.joints]
    missing = [name for name in quantity.of if name not in names]
    if missing:
        raise UnsupportedError(
            f"{quantity.name}: no actuator tells the {kind} of {', '.join(missing)}; "
            f"they tell that of: {', '.join(names) or 'none'}"
        )
    told = [drive.memory[kind] for drive in worlds.drives if drive.joints]
    index = index_of(columns([names.index(name) for name in quantity.of]), told[0])
    return lambda: _joined(told)[:, index]


def _reading_of_memory(worlds: Worlds, quantity: Quantity) -> Read:
    told = [drive.remembered for drive in worlds.drives if drive.remembered is not None]
    size = sum(live.shape[1] for live in told)
    if (size,) != quantity.shape:
        raise UnsupportedError(f"{quantity.name}: the robot's actuators remember {size} numbers, not {quantity.shape}")
    return lambda: _joined(told)


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]


def _write_memory(worlds: Worlds, ids: Tensor, rows: Tensor) -> None:
    remembering = [drive.remembered for drive in worlds.drives if drive.remembered is not None]
    for live, part in zip(remembering, rows.split([live.shape[1] for live in remembering], dim=-1), strict=True):
        live[ids] = part


def _reading_of_sensors(worlds: Worlds, quantity: Quantity) -> Read:
    of_sites = quantity.kind in SITE_SENSORS
    names = [sensor_name(quantity.kind, site) for site in quantity.of] if of_sites else list(quantity.of)
    read, shape = worlds.sensors(columns(sensor_columns(worlds.model, names))), (worlds.num_envs, *quantity.shape)
    return lambda: read().reshape(shape)


def _mocap(worlds: Worlds, quantity: Quantity) -> int:
    return int(worlds.model.body_mocapid[worlds.model.body(quantity.of[0]).id])


def index_of(found: Columns, like: Tensor) -> slice | Tensor:
    """These columns of a tensor like `like`, on its device: an index that is copied there once."""
    return found if isinstance(found, slice) else torch.tensor(found, device=like.device)


def _into(live: Tensor, index: slice | Tensor) -> Write:
    def write(ids: Tensor, rows: Tensor) -> None:
        worlds = ids if isinstance(index, slice) else ids.unsqueeze(-1)
        live[worlds, index] = rows.to(live.dtype)

    return write
