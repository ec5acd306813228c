"""How a scene's quantities are read from what a worker shares, and how resets write them."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
import torch
from torch import Tensor

from isthmus_sim.actuators import PDMotors
from isthmus_sim.engine import Params, State, UnsupportedError
from isthmus_sim.engines.mujoco_model import columns
from isthmus_sim.engines.worker.kinematics import Kinematics
from isthmus_sim.scene import Quantity, Scene

ROOT = {
    "position": slice(0, 3),
    "orientation": slice(3, 7),
    "linear_velocity": slice(7, 10),
    "angular_velocity": slice(10, 13),
}
"""Kind -> columns of the shared array "root"."""
_BY_JOINT = ("joint_position", "joint_velocity", "joint_torque", "joint_power")
_BY_SITE = ("site_position", "site_velocity")


def columns_of(scene: Scene) -> dict[str, list[int]]:
    """Command -> where its joints are among the robot's."""
    names = list(scene.robot.joints)
    motors = [a for a in scene.robot.actuators if isinstance(a, PDMotors)]
    return {a.command: [names.index(joint) for joint in a.joints] for a in motors}


def feet_of(scene: Scene, model: mujoco.MjModel) -> list[int]:
    """Bodies of the sites whose contact forces are read, in the order in which they are read. Raises UnsupportedError
    for two on one body, whose forces cannot be told apart."""
    sites = [site for quantity in scene.quantities if quantity.kind == "contact_force" for site in quantity.of]
    bodies = [int(model.site_bodyid[model.site(site).id]) for site in sites]
    if len(set(bodies)) < len(bodies):
        raise UnsupportedError(f"workers feel one foot a body, and some of {', '.join(sites)} share one; use 'mujoco'")
    return bodies


class Readings:
    """A scene's quantities over the shared `arrays`."""

    def __init__(
        self,
        scene: Scene,
        model: mujoco.MjModel,
        arrays: dict[str, np.ndarray],
        params: Params,
        of_commands: dict[str, list[int]],
    ) -> None:
        self._arrays = {name: torch.from_numpy(array) for name, array in arrays.items()}
        self._params, self._model = params, model
        self._joints = {name: i for i, name in enumerate(scene.robot.joints)}
        flies = bool(arrays["rotor_speed"].size)
        self._memory = "rotor_speed" if flies else "target"
        joints = [column for own in of_commands.values() for column in own]
        self._remembered = list(range(arrays["rotor_speed"].shape[1])) if flies else joints
        self._quantities = {quantity.name: quantity for quantity in scene.quantities}
        self.settable = [quantity.name for quantity in scene.quantities if quantity.settable]
        self._sites = list(dict.fromkeys(s for q in scene.quantities if q.kind in _BY_SITE for s in q.of))
        self._kinematics = Kinematics(model, tuple(scene.robot.joints), tuple(self._sites)) if self._sites else None
        self._forces = [s for q in scene.quantities if q.kind == "contact_force" for s in q.of]
        self._reads: dict[str, Callable[[], Tensor]] = {q.name: self._reading(q) for q in scene.quantities}

    def read(self) -> State:
        """Every quantity now."""
        if self._kinematics is not None:
            given = (self._arrays[name].numpy() for name in ("root", "joint_position", "joint_velocity"))
            places, speeds = self._kinematics(*given)
            self._by_site = {"site_position": torch.from_numpy(places), "site_velocity": torch.from_numpy(speeds)}
        return {name: read() for name, read in self._reads.items()}

    def _reading(self, quantity: Quantity) -> Callable[[], Tensor]:
        kind, arrays = quantity.kind, self._arrays
        if kind in ROOT:
            return lambda: arrays["root"][:, ROOT[kind]]
        if kind in _BY_JOINT:
            found = columns(self._columns(quantity))
            return lambda: arrays[kind][:, found]
        if kind == "actuator":
            if quantity.shape != (len(self._remembered),):
                raise UnsupportedError(
                    f"{quantity.name}: the robot's actuators remember {len(self._remembered)} numbers, "
                    f"not {quantity.shape}"
                )
            remembered = columns(self._remembered)
            return lambda: arrays[self._memory][:, remembered]
        if kind in _BY_SITE:
            sites = columns([self._sites.index(site) for site in quantity.of])
            return lambda: self._by_site[kind][:, sites].float()
        if kind == "contact_force":
            feet = columns([self._forces.index(site) for site in quantity.of])
            return lambda: arrays["foot_force"][:, feet].reshape(-1, *quantity.shape)
        return lambda: self._params[quantity.of[0]]

    def _columns(self, quantity: Quantity) -> list[int]:
        return [self._joints[name] for name in quantity.of]

    def write(self, name: str, ids: Tensor, rows: Tensor) -> None:
        """Put k rows of a settable quantity into worlds `ids` (k,)."""
        quantity = self._quantities[name]
        kind, arrays = quantity.kind, self._arrays
        if kind in ROOT:
            arrays["root"][ids, ROOT[kind]] = rows.float()
        elif kind == "actuator":
            arrays[self._memory][ids.unsqueeze(-1), torch.tensor(self._remembered)] = rows.float()
        else:
            arrays[kind][ids.unsqueeze(-1), torch.tensor(self._columns(quantity))] = rows.float()
