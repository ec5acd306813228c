"""An engine whose simulator is a process of its own, which holds the whole control period."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import numpy as np
import torch
from torch import Tensor

from isthmus_sim.actuators import PDMotors, Rotors
from isthmus_sim.engine import (
    Commands,
    Params,
    Resets,
    State,
    UnsupportedError,
    refuse_unknown_params,
    refuse_unknown_state,
)
from isthmus_sim.engines.mujoco_model import compile_scene
from isthmus_sim.engines.nominal import nominal
from isthmus_sim.engines.worker.process import Simulator, WorkerProcess
from isthmus_sim.engines.worker.quantities import Readings, columns_of, feet_of
from isthmus_sim.engines.worker.robot_of_scene import has_ground, robot_of_scene, unsupported
from isthmus_sim.engines.worker.rotors import FIELDS as ROTOR_FIELDS
from isthmus_sim.engines.worker.rotors import BaseRotors
from isthmus_sim.scene import Scene
from isthmus_sim.worker.channel import ADVANCE, RESET

_FIELDS = ("body_mass", "body_inertia", "body_ipos", "geom_friction")
"""Model fields that workers can have differ from world to world: of bodies, and of the ground."""


class WorkerEngine:
    """`Engine`: N worlds of a robot with a free base, which `PDMotors` at joints move on flat ground or terrain, or
    `Rotors` in the air.

    The model is compiled by MuJoCo and built anew by the other simulator. A state that is saved there does not go on
    bit for bit, so "snapshots" is no capability. Contact forces are those on the body that the site belongs to.

    Raises:
        UnsupportedError: the scene has what workers cannot build, drive or read.
        WorkerError: the simulator's process does not start or answer. `advance` raises it, too.
        ValueError: the model does not compile, contradicts the description, or its time step does not divide the
            control period.
    """

    def __init__(self, scene: Scene, num_envs: int, simulator: Simulator) -> None:
        if reason := unsupported(scene):
            raise UnsupportedError(f"the engine {simulator.name!r}: {reason}; use 'mujoco'")
        self.scene, self.num_envs, self.device = scene, num_envs, torch.device("cpu")
        self.model = compile_scene(scene)
        robot = robot_of_scene(scene, self.model, num_envs, feet_of(scene, self.model))
        heights = scene.terrain.heights.numpy() if scene.terrain else None
        self._base = int(self.model.body(scene.robot.base).id)
        self._ground = int(self.model.geom(scene.ground).id) if has_ground(scene, self.model) else None
        rotors = [a for a in scene.robot.actuators if isinstance(a, Rotors)]
        self._rotors = [BaseRotors(each, self.model, self._base) for each in rotors]
        self._may_vary = (*_FIELDS, *(ROTOR_FIELDS if rotors else ()))
        self._variations = [v for v in scene.all_variations if _changes(v, self.model) <= set(self._may_vary)]
        self._columns = columns_of(scene)
        self.params = nominal(scene, num_envs)
        settable = [p.name for part in (*scene.robot.actuators, *self._variations) for p in part.parameters]
        self.capabilities = frozenset({"wrench", *(f"params:{name}" for name in settable)})
        self.process = WorkerProcess(simulator, robot, heights)
        self._arrays = {name: torch.from_numpy(array) for name, array in self.process.arrays.items()}
        self.force, self.torque = torch.zeros(num_envs, 3), torch.zeros(num_envs, 3)
        self._readings = Readings(scene, self.model, self.process.arrays, self.params, self._columns)
        self._default = torch.tensor([drive.default for drive in robot.drives])
        self._start = torch.from_numpy(self.model.qpos0[:7]).float()
        self._derive()
        as_they_are = {name: np.repeat(getattr(self.model, name)[None], num_envs, axis=0) for name in self._may_vary}
        self._set_fields(torch.arange(num_envs), as_they_are)
        self.advance(None, Resets(ids=torch.arange(num_envs), state={}))

    @property
    def _motors(self) -> list[PDMotors]:
        return [a for a in self.scene.robot.actuators if isinstance(a, PDMotors)]

    # --- a trip ---

    def advance(self, commands: Commands | None, resets: Resets | None = None) -> State:
        what = 0
        if resets is not None:
            self._write(resets)
            what += RESET
        if commands is not None:
            for motors in self._motors:
                self._arrays["command"][:, self._columns[motors.command]] = commands[motors.command]
            for rotors in self._rotors:
                rotors.begin(commands[rotors.command], self.params, self._arrays)
            what += ADVANCE
        if what:
            self.process.request(what)
        return self._readings.read()

    def failed(self) -> Tensor:
        return self._arrays["failed"].bool()

    # --- resets ---

    def _write(self, resets: Resets) -> None:
        """The worlds to reset as the model has them, and then as they are to be."""
        arrays, ids = self._arrays, resets.ids
        refuse_unknown_state(self._readings.settable, resets.state)
        self.set_params(ids, resets.params)
        arrays["begin"].zero_()
        arrays["begin"][ids] = 1
        arrays["root"][ids] = torch.cat((self._start, torch.zeros(6)))
        arrays["joint_position"][ids] = 0.0
        arrays["joint_velocity"][ids] = 0.0
        arrays["target"][ids] = self._default
        arrays["rotor_speed"][ids] = 0.0
        for name, rows in resets.state.items():
            self._readings.write(name, ids, rows)

    def set_params(self, ids: Tensor, params: Params) -> None:
        if not params:
            return
        refuse_unknown_params(self.capabilities, params)
        fields = self._fields_for(ids, params)  # may refuse, and then nothing has been set
        for name, rows in params.items():
            self.params[name][ids] = rows
        self._derive()
        self._set_fields(ids, fields)

    def _derive(self) -> None:
        """The drives' parameters, by joint, and the rotors'."""
        for rotors in self._rotors:
            rotors.derive(self.params, self._arrays)
        for motors in self._motors:
            columns = self._columns[motors.command]
            for name in ("stiffness", "damping", "strength"):
                self._arrays[name][:, columns] = self.params[motors.prefix + name]
            delay = (self.params[f"{motors.prefix}command_delay_s"] / self.model.opt.timestep).round()
            self._arrays["delay"][:, columns] = delay.int().expand(-1, len(columns))

    def _fields_for(self, ids: Tensor, params: Params) -> dict[str, np.ndarray]:
        """Model fields of worlds `ids` with these parameters, the others as they are."""
        fields: dict[str, np.ndarray] = {}
        for variation in self._variations:
            names = [parameter.name for parameter in variation.parameters]
            if not params.keys().isdisjoint(names):
                rows = {name: params[name] if name in params else self.params[name][ids] for name in names}
                fields |= variation.fields(self.model, {name: row.double().numpy() for name, row in rows.items()})
        return fields

    def _set_fields(self, ids: Tensor, fields: dict[str, np.ndarray]) -> None:
        arrays = self._arrays
        for name, field in (("mass", "body_mass"), ("inertia", "body_inertia"), ("centre", "body_ipos")):
            if field in fields:
                arrays[name][ids] = torch.from_numpy(fields[field][:, self._base :]).float()
        for rotors in self._rotors:
            if fields.keys() >= set(ROTOR_FIELDS):
                arrays["allocation"][ids] = rotors.allocation(fields)
        if "geom_friction" in fields and self._ground is not None:
            arrays["friction"][ids] = torch.from_numpy(fields["geom_friction"][:, self._ground, 0]).float()
        if fields:
            arrays["changed"][ids] = 1

    def apply_wrench(self, force: Tensor, torque: Tensor) -> None:
        self.force, self.torque = force, torque
        self._arrays["force"].copy_(force)
        self._arrays["torque"].copy_(torque)

    # --- what is not there ---

    def snapshot(self) -> dict[str, Tensor]:
        raise self._no_snapshots()

    def state_dict(self) -> dict[str, Tensor]:
        raise self._no_snapshots()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        raise self._no_snapshots()

    def _no_snapshots(self) -> UnsupportedError:
        name = self.process.simulator.name
        return UnsupportedError(f"a state of the engine {name!r} does not go on bit for bit; 'mujoco' has snapshots")

    def close(self) -> None:
        self.process.close()


def _changes(variation, model: mujoco.MjModel) -> set[str]:
    """The model fields that it changes."""
    return set(variation.fields(model, {p.name: np.array([p.nominal]) for p in variation.parameters}))
