"""A legged robot in MuJoCo on CPU threads: PD and motor limits at every physics step, feet, terrain."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable, Iterable

import mujoco
import mujoco.batch
import numpy as np
import torch
from torch import Tensor

from isthmus_sim.engine import ArticulatedState, State, refuse_unknown_params
from isthmus_sim.engines.motors import MotorLimits, dry_friction, pd_torque
from isthmus_sim.engines.mujoco_batch import MujocoEngine
from isthmus_sim.robots.quadruped import Motor
from isthmus_sim.spec import RobotSpec
from isthmus_sim.terrain import Terrain
from isthmus_sim.threads import THREADS

_GROUND = "ground"
_ITERATIONS = 50  # of the contact solver at most; it ends by itself, and cut short it has been seen to throw a foot
_FOOT_SENSORS = {
    "position": mujoco.mjtSensor.mjSENS_FRAMEPOS,
    "velocity": mujoco.mjtSensor.mjSENS_FRAMELINVEL,
    "force": mujoco.mjtSensor.mjSENS_TOUCH,
}


class MujocoLegged(MujocoEngine):
    """N legged robots in MuJoCo. `step` takes joint position targets (num_envs, j) in rad, held for a control period.

    `model` has a free base, joints and motors named as in `spec`, a site for each of `feet` and a geom "ground", which
    `terrain` replaces. `motors`: each joint's drive. `threads`: for physics.

    Parameters per world: stiffness (j) N·m/rad, damping (j) N·m·s/rad, strength (j), the share of the torque that
    arrives; command_delay (1) s, at most a control period, in which the target before still acts; friction (1) of the
    ground; payload (1) kg, which makes the base heavier as it is; com_offset (3) m of the base's centre of mass.

    Where the feet are, how fast and what carries them is of the state before the last physics step: MuJoCo's sensors.
    """

    capabilities = frozenset(
        f"params:{name}"
        for name in ("stiffness", "damping", "strength", "command_delay", "friction", "payload", "com_offset")
    ) | {"wrench"}

    def __init__(
        self,
        model: mujoco.MjSpec,
        spec: RobotSpec,
        motors: tuple[Motor, ...],
        feet: tuple[str, ...],
        num_envs: int,
        *,
        terrain: Terrain | None = None,
        num_threads: int = THREADS.physics,
    ) -> None:
        compiled = _prepared(model, spec.joints, feet, terrain).compile()
        super().__init__(compiled, num_envs, spec.control_period_s, num_threads)
        joints = [self.model.joint(name) for name in spec.joints]
        self._q = _columns([int(joint.qposadr[0]) for joint in joints])
        self._v = _columns([int(joint.dofadr[0]) for joint in joints])
        self._u = _columns([int(self.model.actuator(name).id) for name in spec.joints])
        self._feet = {
            kind: _columns([int(address) for foot in feet for address in _addresses(self.model, f"{kind}:{foot}")])
            for kind in _FOOT_SENSORS
        }
        self._sensors = self.batch.bind("sensordata")
        self._ground = int(self.model.geom(_GROUND).id)
        self._limits = MotorLimits.of(motors)
        self.params = self._defaults(spec)
        self.target = torch.tensor([joint.default_position for joint in spec.joints.values()]).repeat(num_envs, 1)
        self.joint_torque, self.joint_power = torch.zeros_like(self.target), torch.zeros_like(self.target)
        self._derive()

    def _defaults(self, spec: RobotSpec) -> dict[str, Tensor]:
        one = {
            "stiffness": [joint.stiffness for joint in spec.joints.values()],
            "damping": [joint.damping for joint in spec.joints.values()],
            "strength": [1.0] * len(spec.joints),
            "command_delay": [0.0],
            "friction": [float(self.model.geom_friction[self._ground, 0])],
            "payload": [0.0],
            "com_offset": [0.0] * 3,
        }
        return {name: torch.tensor(values).repeat(self.num_envs, 1) for name, values in one.items()}

    def _derive(self) -> None:
        """The drives' parameters as they are needed at every physics step."""
        self._stiffness, self._damping, self._strength = (
            self.params[name].double().numpy() for name in ("stiffness", "damping", "strength")
        )
        self._delay = (self.params["command_delay"] / self.model.opt.timestep).round().numpy()

    def read(self) -> ArticulatedState:
        base = super().read()
        feet = {kind: torch.from_numpy(self._sensors[:, columns]).float() for kind, columns in self._feet.items()}
        return ArticulatedState(
            position=base.position,
            orientation=base.orientation,
            linear_velocity=base.linear_velocity,
            angular_velocity=base.angular_velocity,
            actuator=self.target,
            joint_position=self.qpos[:, self._q].float(),
            joint_velocity=self.qvel[:, self._v].float(),
            joint_torque=self.joint_torque,
            joint_power=self.joint_power,
            foot_position=feet["position"].unflatten(1, (-1, 3)),
            foot_velocity=feet["velocity"].unflatten(1, (-1, 3)),
            foot_force=feet["force"],
        )

    def step(self, command: Tensor) -> None:
        # NumPy, because it stays on this thread: torch's threads would spin on the cores that the physics needs.
        before, target = self.target.double().numpy(), command.double().numpy()
        qpos, qvel, ctrl = self.qpos.numpy(), self.qvel.numpy(), self.ctrl.numpy()
        torques, powers = np.zeros_like(target), np.zeros_like(target)
        self._raised.zero_()
        for k in range(self.num_substeps):
            acting, velocity = np.where(k < self._delay, before, target), qvel[:, self._v]
            torque = pd_torque(
                acting, qpos[:, self._q], velocity, self._stiffness, self._damping, self._strength, self._limits
            )
            torques += torque
            powers += torque * velocity
            ctrl[:, self._u] = torque - dry_friction(velocity, self._limits)
            self._run(lambda: self.batch.step(None, 1, mujoco.mjtStage.mjSTAGE_NONE))
        self.target = command.clone()
        self.joint_torque, self.joint_power = (
            torch.from_numpy(total / self.num_substeps).float() for total in (torques, powers)
        )

    def _run(self, call: Callable[[], None]) -> None:
        """Do this and keep in mind which worlds it failed in."""
        try:
            call()
        except mujoco.batch.SimulationError as error:
            self._raised[torch.from_numpy(np.asarray(error.ids))] = True

    def reset(self, ids: Tensor, state: State) -> None:
        assert isinstance(state, ArticulatedState)
        super().reset(ids, state)
        for live, columns, value in (
            (self.qpos, self._q, state.joint_position),
            (self.qvel, self._v, state.joint_velocity),
        ):
            rows = live[ids]
            rows[:, columns] = value.double()
            live[ids] = rows
        self.target[ids] = state.actuator
        self.joint_torque[ids] = 0.0
        self.joint_power[ids] = 0.0
        self._run(lambda: self.batch.forward(np.unique(ids.numpy()), mujoco.mjtStage.mjSTAGE_VEL))  # where the feet are

    def set_params(self, ids: Tensor, **params: Tensor) -> None:
        refuse_unknown_params(self.capabilities, params)
        mass = self.model.body_mass[self._base]
        if "payload" in params and not bool((params["payload"] > -mass).all()):
            least = float(params["payload"].min())
            raise ValueError(f"a payload of {least:g} kg leaves nothing of the base's {mass:g} kg")
        for name, value in params.items():
            self.params[name][ids] = value
        self._derive()
        fields = self._model_fields(ids, set(params))
        if fields:
            super().set_params(ids, **fields)

    def _model_fields(self, ids: Tensor, names: set[str]) -> dict[str, Tensor]:
        """What the parameters `names` of worlds `ids` are in MuJoCo's model."""
        fields: dict[str, Tensor] = {}
        if "friction" in names:
            fields["geom_friction"] = torch.from_numpy(self.model.geom_friction).repeat(len(ids), 1, 1)
            fields["geom_friction"][:, self._ground, 0] = self.params["friction"][ids, 0].double()
        if names & {"payload", "com_offset"}:
            mass, inertia, centre = (
                torch.from_numpy(field).repeat(len(ids), *(1,) * field.ndim)
                for field in (self.model.body_mass, self.model.body_inertia, self.model.body_ipos)
            )
            loaded = mass[:, self._base] + self.params["payload"][ids, 0].double()
            inertia[:, self._base] *= (loaded / mass[:, self._base]).unsqueeze(-1)
            mass[:, self._base] = loaded
            centre[:, self._base] += self.params["com_offset"][ids].double()
            fields |= {"body_mass": mass, "body_inertia": inertia, "body_ipos": centre}
        return fields

    def state_dict(self) -> dict[str, Tensor]:
        own = {"target": self.target, "joint_torque": self.joint_torque, "joint_power": self.joint_power}
        return super().state_dict() | own | {f"params.{name}": value for name, value in self.params.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        super().load_state_dict(state)
        self._derive()
        self._run(lambda: self.batch.forward(None, mujoco.mjtStage.mjSTAGE_VEL))


def _prepared(
    model: mujoco.MjSpec, joints: Iterable[str], feet: tuple[str, ...], terrain: Terrain | None
) -> mujoco.MjSpec:
    """A copy of the robot's model with the feet's sensors, without the joints' dry friction, which the drives have
    here, and, where there is one, with the terrain for ground."""
    model = model.copy()
    for joint in joints:
        model.joint(joint).frictionloss = 0.0
    model.option.iterations = max(model.option.iterations, _ITERATIONS)
    model.option.ls_iterations = max(model.option.ls_iterations, _ITERATIONS)
    site = mujoco.mjtObj.mjOBJ_SITE
    for foot in feet:
        for kind, sensor in _FOOT_SENSORS.items():
            model.add_sensor(name=f"{kind}:{foot}", type=sensor, objtype=site, objname=foot)
    if terrain is not None:
        terrain.replace_ground(model, _GROUND)
    return model


def _addresses(model: mujoco.MjModel, sensor: str) -> range:
    """Columns of a sensor in the sensor data."""
    found = model.sensor(sensor)
    return range(int(found.adr[0]), int(found.adr[0] + found.dim[0]))


def _columns(addresses: list[int]) -> slice | list[int]:
    """An index of these columns: a slice, which does not copy, where they follow one another."""
    first, last = addresses[0], addresses[-1]
    return slice(first, last + 1) if addresses == list(range(first, last + 1)) else addresses
