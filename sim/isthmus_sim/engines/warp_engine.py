"""A legged robot in MuJoCo Warp: all worlds on a GPU (or, slowly, on the CPU), every control step one CUDA graph."""

# Warp is optional: a type checker may not find it. MuJoCo's names come from compiled modules.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import mujoco_warp as mjw
import numpy as np
import torch
import warp as wp
from torch import Tensor

from isthmus_sim.description import RobotSpec
from isthmus_sim.engine import ArticulatedState, State, refuse_unknown_params
from isthmus_sim.engines.base_load import BaseLoad
from isthmus_sim.engines.legged import (
    FOOT_SENSORS,
    GROUND,
    PARAMETERS,
    default_parameters,
    foot_columns,
    prepared,
    refuse_overload,
)
from isthmus_sim.engines.motors import MotorLimits
from isthmus_sim.engines.stepping import SPEED_LIMIT, substeps
from isthmus_sim.engines.warp_motors import drive_joints
from isthmus_sim.robots.quadruped.description import Motor
from isthmus_sim.terrain import Terrain

wp.config.log_level = wp.LOG_WARNING  # else a line for each of its fifty modules
wp.init()

# Model fields with a value for each world: those that parameters set, and what MuJoCo derives from them.
_FIELDS = (
    "geom_friction", "body_mass", "body_inertia", "body_ipos", "body_subtreemass", "body_invweight0", "dof_invweight0",
)  # fmt: skip
_FULL = {
    int(mjw.OverflowType.NEFC): ("constraint rows of a world", "njmax"),
    int(mjw.OverflowType.BROADPHASE): ("pairs of bodies close to each other", "nconmax"),
    int(mjw.OverflowType.NARROWPHASE): ("contacts", "nconmax"),
    int(mjw.OverflowType.CCD): ("contacts", "nconmax"),
}
"""Overflows that leave contacts out: what there was too much of, and the option that makes room."""
_CONTACTS_LOST = sum(_FULL)


class BufferOverflowError(RuntimeError):
    """A buffer of the engine was too small and contacts were left out; the message says which option enlarges it."""


@dataclass(frozen=True, kw_only=True)
class _Room:
    """What a world can need at most, of pairs of geoms close to each other, contacts and rows of constraints."""

    pairs: int
    contacts: int
    rows: int

    @classmethod
    def of(cls, model: mujoco.MjModel) -> _Room:
        # A robot whose geoms touch the ground alone, with up to four contacts each.
        pairs = int(np.count_nonzero(model.geom_contype | model.geom_conaffinity)) - 1
        contacts = 4 * pairs
        joints = int(np.count_nonzero(model.dof_frictionloss)) + int(np.count_nonzero(model.jnt_limited))
        per_contact = max(1, 2 * (int(model.geom_condim.max()) - 1))
        return cls(pairs=pairs, contacts=contacts, rows=joints + contacts * per_contact)


class WarpLegged:
    """N legged robots in MuJoCo Warp. Same model, parameters, state and commands as `MujocoLegged`, in float32.

    `qpos`, `qvel` and what `read` returns are live tensors over the simulator's own memory where that has the layout.
    `device`: by default the GPU when torch has one, else the CPU. The first start on a machine compiles the kernels,
    which takes a minute. On a GPU the order of contacts, and so the last bits, change from run to run.

    Contacts of all worlds share `nconmax` * num_envs places, and each world has `njmax` rows of constraints; by default
    what a robot can need whose geoms touch the ground alone. `step` raises BufferOverflowError when one did not suffice
    in the step before: to see it at once would mean to wait for the GPU.

    Raises:
        ValueError: the model's first joint is not free, or its time step does not divide the control period.
    """

    capabilities = frozenset(f"params:{name}" for name in PARAMETERS) | {"wrench"}

    def __init__(
        self,
        model: mujoco.MjSpec,
        spec: RobotSpec,
        motors: tuple[Motor, ...],
        feet: tuple[str, ...],
        num_envs: int,
        *,
        terrain: Terrain | None = None,
        device: torch.device | str | None = None,
        nconmax: int | None = None,
        njmax: int | None = None,
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.num_envs = num_envs
        self.model = prepared(model, spec.joints, feet, terrain).compile()
        if self.model.njnt == 0 or self.model.jnt_type[0] != mujoco.mjtJoint.mjJNT_FREE:
            raise ValueError("the model's first joint must be a <freejoint/>: the robot's base")
        self.num_substeps = substeps(spec.control_period_s, self.model.opt.timestep)
        self._base, self._ground = int(self.model.jnt_bodyid[0]), int(self.model.geom(GROUND).id)
        with wp.ScopedDevice(wp.device_from_torch(self.device)):
            self._upload(nconmax, njmax)
            self._find(spec, feet)
            self._allocate(spec, motors)
            self._capture()

    def _upload(self, nconmax: int | None, njmax: int | None) -> None:
        """The model with its fields per world, the simulator's data, and torch's view of both."""
        self.warp_model = mjw.put_model(self.model, batch_sizes=dict.fromkeys(_FIELDS, self.num_envs))
        self.warp_model.opt.warn_overflow = 0  # the GPU would print them; here they are raised
        if self.device.type == "cuda":
            self.warp_model.opt.graph_conditional = wp.is_conditional_graph_supported()
        room = _Room.of(self.model)
        nconmax, njmax = nconmax or room.contacts, njmax or room.rows
        # Scratch memory for collisions with a height field, one for each pair.
        pairs = min(room.pairs, nconmax)
        self.data = mjw.make_data(self.model, self.num_envs, nconmax=nconmax, nccdmax=pairs, njmax=njmax)
        self._fields = {name: wp.to_torch(getattr(self.warp_model, name)) for name in _FIELDS}
        self.qpos, self.qvel, self.ctrl, self.applied, self._warm_start, self._sensors, self._overflow = (
            wp.to_torch(getattr(self.data, name))
            for name in ("qpos", "qvel", "ctrl", "qfrc_applied", "qacc_warmstart", "sensordata", "overflow")
        )

    def _find(self, spec: RobotSpec, feet: tuple[str, ...]) -> None:
        """Where the joints and the feet are, and what the base weighs."""
        joints = [self.model.joint(name) for name in spec.joints]
        q = [int(joint.qposadr[0]) for joint in joints]
        v = [int(joint.dofadr[0]) for joint in joints]
        u = [int(self.model.actuator(name).id) for name in spec.joints]
        self._columns = wp.array([q, v, u], dtype=int)
        self._q, self._v = self._index(q), self._index(v)
        self._feet = {kind: self._index(foot_columns(self.model, kind, feet)) for kind in FOOT_SENSORS}
        self._load = BaseLoad(self.model, self._base, self.device)

    def _index(self, columns: list[int]) -> slice | Tensor:
        """An index of these columns: a slice, which does not copy, where they follow one another."""
        first, last = columns[0], columns[-1]
        following = columns == list(range(first, last + 1))
        return slice(first, last + 1) if following else torch.tensor(columns, device=self.device)

    def _allocate(self, spec: RobotSpec, motors: tuple[Motor, ...]) -> None:
        """What the drives read and write, torch's and Warp's at once."""
        defaults = default_parameters(self.model, spec, self.num_envs)
        self.params = {name: value.to(self.device) for name, value in defaults.items()}
        standing = torch.tensor([joint.default_position for joint in spec.joints.values()], device=self.device)
        self.target = standing.repeat(self.num_envs, 1)
        self._command, self.joint_torque, self.joint_power = (torch.zeros_like(self.target) for _ in range(3))
        self.force, self.torque = (torch.zeros(self.num_envs, 3, device=self.device) for _ in range(2))
        self._delay = torch.zeros(self.num_envs, device=self.device)
        limits = MotorLimits.of(motors)
        rows = (limits.effort_limit, limits.saturation, limits.no_load_speed, limits.friction)
        self._limits = wp.array(np.stack(rows), dtype=float)

    def _capture(self) -> None:
        """The graphs, and the worlds as they were before."""
        start = self.qpos.clone()
        wp.synchronize_device()  # from here Warp's own stream, until now torch's
        self._step_graph, self._feet_graph = _captured(self._step), _captured(self._sense_feet)
        wp.synchronize_device()
        self.qpos.copy_(start)
        self._rest(torch.arange(self.num_envs, device=self.device))

    def _step(self) -> None:
        before, target, stiffness, damping, strength, delay, mean_torque, mean_power = (
            wp.from_torch(tensor)
            for tensor in (
                self.target, self._command, self.params["stiffness"], self.params["damping"], self.params["strength"],
                self._delay, self.joint_torque, self.joint_power,
            )
        )  # fmt: skip
        data = self.data
        for k in range(self.num_substeps):
            wp.launch(
                drive_joints,
                dim=before.shape,
                inputs=[
                    k, self.num_substeps, delay, before, target, self._columns, data.qpos, data.qvel, stiffness,
                    damping, strength, self._limits,
                ],
                outputs=[data.ctrl, mean_torque, mean_power],
            )  # fmt: skip
            mjw.step(self.warp_model, data)
        wp.copy(before, target)

    def _sense_feet(self) -> None:
        for stage in (mjw.kinematics, mjw.com_pos, mjw.com_vel, mjw.sensor_pos, mjw.sensor_vel):
            stage(self.warp_model, self.data)

    def _launch(self, graph: wp.Graph) -> None:
        """After what torch has begun, and before what it begins next."""
        wp.capture_launch(graph, wp.stream_from_torch(self.device) if self.device.type == "cuda" else None)

    def read(self) -> ArticulatedState:
        feet = {kind: self._sensors[:, columns] for kind, columns in self._feet.items()}
        return ArticulatedState(
            position=self.qpos[:, :3],
            orientation=self.qpos[:, 3:7],
            linear_velocity=self.qvel[:, :3],
            angular_velocity=self.qvel[:, 3:6],
            actuator=self.target,
            joint_position=self.qpos[:, self._q],
            joint_velocity=self.qvel[:, self._v],
            joint_torque=self.joint_torque,
            joint_power=self.joint_power,
            foot_position=feet["position"].unflatten(1, (-1, 3)),
            foot_velocity=feet["velocity"].unflatten(1, (-1, 3)),
            foot_force=feet["force"],
        )

    def step(self, command: Tensor) -> None:
        self._refuse_overflow()
        self._command.copy_(command)
        self._launch(self._step_graph)

    def _refuse_overflow(self) -> None:
        if not (self._overflow & _CONTACTS_LOST).any():
            return
        flag = next(flag for flag in _FULL if (self._overflow & flag).any())
        self._overflow.zero_()
        what, option = _FULL[flag]
        places = f"njmax = {self.data.njmax}"
        if option == "nconmax":
            places = f"nconmax * num_envs = {self.data.naconmax}"
        raise BufferOverflowError(
            f"more {what} than the buffer holds ({places}), and some were left out: "
            f"make the engine with a larger {option}, WarpLegged(..., {option}=...)"
        )

    def reset(self, ids: Tensor, state: State) -> None:
        assert isinstance(state, ArticulatedState)
        self._rest(ids)
        self.qpos[ids, :3] = state.position
        self.qpos[ids, 3:7] = state.orientation
        self.qvel[ids, :3] = state.linear_velocity
        self.qvel[ids, 3:6] = state.angular_velocity
        _put(self.qpos, ids, self._q, state.joint_position)
        _put(self.qvel, ids, self._v, state.joint_velocity)
        self.target[ids] = state.actuator
        others = self._sensors.clone()
        self._launch(self._feet_graph)
        others[ids] = self._sensors[ids]
        self._sensors.copy_(others)

    def _rest(self, ids: Tensor) -> None:
        """Worlds `ids` without motion and without anything that they remember."""
        for memory in (self.qvel, self._warm_start, self.ctrl, self._sensors, self.joint_torque, self.joint_power):
            memory[ids] = 0.0

    def set_params(self, ids: Tensor, **params: Tensor) -> None:
        refuse_unknown_params(self.capabilities, params)
        if "payload" in params:
            refuse_overload(self.model, self._base, params["payload"])
        for name, value in params.items():
            self.params[name][ids] = value
        self._derive(ids, set(params))

    def _derive(self, ids: Tensor, names: set[str]) -> None:
        """What the parameters `names` of worlds `ids` are for the drives and in MuJoCo's model."""
        rows = {name: self.params[name][ids] for name in names}
        if "command_delay" in names:
            self._delay[ids] = (rows["command_delay"] / self.model.opt.timestep).round().squeeze(-1)
        if "friction" in names:
            self._fields["geom_friction"][ids, self._ground, 0] = rows["friction"].squeeze(-1)
        if names & {"payload", "com_offset"}:
            load = self._load
            mass = load.mass + self.params["payload"][ids, 0]
            inertia = load.inertia * (mass / load.mass).unsqueeze(-1)
            centre = load.centre + self.params["com_offset"][ids]
            for name, value in (("body_mass", mass), ("body_inertia", inertia), ("body_ipos", centre)):
                self._fields[name][ids, self._base] = value.float()
            for name, value in load.derive(mass, inertia, centre).items():
                self._fields[name][ids] = value.float()

    def apply_wrench(self, force: Tensor, torque: Tensor) -> None:
        # The free joint's generalised force is just this: force in the world, torque in the body.
        self.force, self.torque = force, torque
        self.applied[:, :3] = force
        self.applied[:, 3:6] = torque

    def failed(self) -> Tensor:
        fast = self.qvel.abs().amax(-1)
        return ~(fast < SPEED_LIMIT) | ~torch.isfinite(self.qpos.sum(-1))

    def _memory(self) -> dict[str, Tensor]:
        return {
            "qpos": self.qpos,
            "qvel": self.qvel,
            "ctrl": self.ctrl,
            "applied": self.applied,
            "warm_start": self._warm_start,
            "sensors": self._sensors,
            "target": self.target,
            "joint_torque": self.joint_torque,
            "joint_power": self.joint_power,
        }

    def state_dict(self) -> dict[str, Tensor]:
        return self._memory() | {f"params.{name}": value for name, value in self.params.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, live in self.state_dict().items():
            live.copy_(state[name])
        self._derive(torch.arange(self.num_envs, device=self.device), set(self.params))
        self.force, self.torque = self.applied[:, :3].clone(), self.applied[:, 3:6].clone()

    def close(self) -> None:
        del self._step_graph, self._feet_graph, self.data, self.warp_model


def _captured(work: Callable[[], None]) -> wp.Graph:
    """`work` as a graph. It runs before: that compiles its kernels, which a capture cannot."""
    work()
    with wp.ScopedCapture() as capture:
        work()
    assert capture.graph is not None
    return capture.graph


def _put(live: Tensor, ids: Tensor, columns: slice | Tensor, value: Tensor) -> None:
    """`live[ids, columns] = value`, whichever way the columns are given."""
    rows = live[ids]
    rows[:, columns] = value
    live[ids] = rows
