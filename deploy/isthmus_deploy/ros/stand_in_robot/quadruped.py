"""The stand-in quadruped's body and sensors: MuJoCo with a load, a floor, motors and a latency that it tells nobody."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict, dataclass

import mujoco
import numpy as np

from isthmus_deploy.ros.stand_in_robot import rigid_body
from isthmus_deploy.ros.stand_in_robot.world import Array, Truth
from isthmus_sim.robots.quadruped.description import JOINTS, MOTORS, SPEC
from isthmus_sim.robots.quadruped.mjcf import quadruped_mjcf

TIMESTEP_S = 0.002
# Sensor noise, one sigma. Encoders of some 15 bits behind a gearbox with play, their speeds filtered differences; the
# gyro shaken by the steps; the attitude estimate of a good small IMU.
_POSITION_NOISE = 0.005  # rad
_SPEED_NOISE = 0.2  # rad/s
_RATE_NOISE = 0.02  # rad/s
_ROTATION_NOISE = 0.01  # rad
_SETTLE_S = 0.5


@dataclass(frozen=True, kw_only=True)
class HiddenBody:
    """What the policy is not told.

    payload kg on the trunk, less than nothing for a lighter one; com_offset (3,) m of the trunk's centre of mass;
    friction of the ground; strength (12,) share of each motor's torque that arrives; latency_s from a command to its
    torque; heading rad, the IMU's arbitrary zero.
    """

    payload: float
    com_offset: tuple[float, float, float]
    friction: float
    strength: tuple[float, ...]
    latency_s: float = 0.020
    heading: float = 0.0


def draw_body(seed: int) -> HiddenBody:
    """The hidden body of a seed."""
    random = np.random.default_rng([seed, 0])
    x, y, z = random.uniform(-0.03, 0.03, 3).tolist()
    return HiddenBody(
        payload=float(random.uniform(-1.0, 3.0)),
        com_offset=(x, y, z),
        friction=float(random.uniform(0.4, 1.0)),
        strength=tuple(random.uniform(0.85, 1.0, len(JOINTS)).tolist()),
        heading=float(random.uniform(-math.pi, math.pi)),
    )


class QuadrupedWorld:
    """One quadruped lying on flat ground, in MuJoCo at 500 Hz, with its drives' position control at that rate.

    Args:
        seed: Draws the body and the noise.
        body: Takes the place of the seed's body.
    """

    spec = SPEC
    timestep_s = TIMESTEP_S
    without_command = "joints damped only"

    def __init__(self, seed: int, *, body: HiddenBody | None = None) -> None:
        self.body = draw_body(seed) if body is None else body
        self.energy_j = 0.0
        """Mechanical work of the motors since the start, J; what they brake is lost."""
        self._random = np.random.default_rng([seed, 1])
        self._model = _model(self.body)
        self._data = mujoco.MjData(self._model)
        self._ground, self._trunk = self._model.geom("ground").id, self._model.geom("trunk").id
        joints = [self._model.joint(name) for name in JOINTS]
        self._q = np.array([joint.qposadr[0] for joint in joints])
        self._v = np.array([joint.dofadr[0] for joint in joints])
        self._u = np.array([self._model.actuator(name).id for name in JOINTS])
        self._drives = _Drives(self.body)
        # The command of so many steps ago acts; at first there is none.
        latency_steps = round(self.body.latency_s / TIMESTEP_S)
        self._commands: deque[Array | None] = deque([None] * (latency_steps + 1), maxlen=latency_steps + 1)
        self._lie()

    @property
    def time_s(self) -> float:
        """Simulated time, s."""
        return self._data.time

    @property
    def mass(self) -> float:
        """Of the whole robot with its load, kg."""
        return float(self._model.body_mass.sum())

    @property
    def on_belly(self) -> bool:
        """Whether the trunk touches the ground."""
        touching = self._data.contact.geom  # (n, 2)
        return bool((np.isin(touching, (self._ground, self._trunk)).all(axis=1)).any())

    def step(self, command: Array | None, n: int = 1) -> None:
        """`n` physics steps with joint position targets (12,), rad; None for drives that only damp."""
        for _ in range(n):
            self._commands.append(command)
            speed = self._data.qvel[self._v]
            torque = self._drives.torque(self._commands[0], self._data.qpos[self._q], speed)
            self._data.ctrl[self._u] = torque
            self.energy_j += float(np.maximum(torque * speed, 0.0).sum()) * TIMESTEP_S
            mujoco.mj_step(self._model, self._data)

    def truth(self) -> Truth:
        """The trunk as it is."""
        return rigid_body.truth(self._data)

    def sense(self) -> dict[str, Array]:
        """The robot as its encoders and its IMU see it."""
        draw, data, joints = self._random.normal, self._data, len(JOINTS)
        orientation = np.empty(4)
        heading = np.array([math.cos(self.body.heading / 2), 0.0, 0.0, math.sin(self.body.heading / 2)])
        mujoco.mju_mulQuat(orientation, heading, data.qpos[3:7])
        return {
            "joint_position": data.qpos[self._q] + draw(0.0, _POSITION_NOISE, joints),
            "joint_velocity": data.qvel[self._v] + draw(0.0, _SPEED_NOISE, joints),
            "angular_velocity": data.qvel[3:6] + draw(0.0, _RATE_NOISE, 3),
            "imu_orientation": rigid_body.turned(orientation, draw(0.0, _ROTATION_NOISE, 3)),
        }

    def hidden(self) -> dict[str, object]:
        """The body's parameters."""
        return {"parameters": asdict(self.body)}

    def _lie(self) -> None:
        mujoco.mj_resetDataKeyframe(self._model, self._data, self._model.key("prone").id)
        self.step(None, round(_SETTLE_S / TIMESTEP_S))
        self._data.time = self.energy_j = 0.0


class _Drives:
    """Position control in the motors, and what these can give at their speed.

    torque = strength * clip(stiffness * (target - position) - damping * speed), clipped to the effort limit and to the
    straight torque-speed line of a DC motor, as in Isaac Lab's DCMotor.
    """

    def __init__(self, body: HiddenBody) -> None:
        joints, motors = SPEC.joints.values(), [MOTORS[name.split("_")[1]] for name in JOINTS]
        self._strength = np.array(body.strength)
        self._stiffness = np.array([joint.stiffness for joint in joints])
        self._damping = np.array([joint.damping for joint in joints])
        self._effort_limit = np.array([motor.effort_limit for motor in motors])
        self._saturation = np.array([motor.saturation_effort for motor in motors])
        self._no_load_speed = np.array([motor.no_load_speed for motor in motors])

    def torque(self, target: Array | None, position: Array, speed: Array) -> Array:
        """Torques (12,), N·m; `target` and `position` rad, `speed` rad/s. Without a target only the damping acts."""
        wanted = -self._damping * speed
        if target is not None:
            wanted += self._stiffness * (target - position)
        share = speed / self._no_load_speed
        high = np.minimum(np.maximum(self._saturation * (1.0 - share), 0.0), self._effort_limit)
        low = np.maximum(np.minimum(self._saturation * (-1.0 - share), 0.0), -self._effort_limit)
        return self._strength * np.minimum(np.maximum(wanted, low), high)


def _model(body: HiddenBody) -> mujoco.MjModel:
    model = mujoco.MjModel.from_xml_string(quadruped_mjcf(timestep=TIMESTEP_S))
    trunk = model.body("base")
    loaded = trunk.mass[0] + body.payload
    trunk.inertia *= loaded / trunk.mass[0]
    trunk.mass[0] = loaded
    trunk.ipos += body.com_offset
    model.geom("ground").friction[0] = body.friction  # the feet's own is lower, and the larger of two counts
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model
