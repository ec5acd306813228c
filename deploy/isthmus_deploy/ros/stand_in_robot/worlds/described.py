"""The stand-in of any robot that has a description: a unit that nobody was told of, in MuJoCo, and its sensors."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import mujoco
import numpy as np

from isthmus_deploy.ros.stand_in_robot.worlds.drives import make_drive
from isthmus_deploy.ros.stand_in_robot.worlds.free_body import UPSIDE_DOWN, FreeBody
from isthmus_deploy.ros.stand_in_robot.worlds.sensing import Sensing
from isthmus_deploy.ros.stand_in_robot.worlds.unit import Values, compile_unit, draw_unit
from isthmus_deploy.ros.stand_in_robot.worlds.world import Array
from isthmus_deploy.ros.truth import Truth
from isthmus_sim.description import RobotDescription, Stance
from isthmus_sim.scene import Scene

_TIMESTEP_S = 0.002  # at most: drives close their loops at 500 Hz and more
_SETTLE_S = 0.5


def bare_scene(robot: RobotDescription) -> Scene:
    """The robot by itself."""
    return Scene(robot=robot, timestep_s=fine_timestep(robot), quantities=())


def fine_timestep(robot: RobotDescription) -> float:
    """A physics step, s, of which the robot's control period is a whole number."""
    return robot.control_period_s / math.ceil(robot.control_period_s / _TIMESTEP_S - 1e-9)


class DescribedWorld:
    """A robot in a scene, at rest; nobody commands it.

    It begins as its safe command leaves it, which is also how it is when it is stopped. A robot with legs that has no
    stance there would fall; it hangs in a hoist, at the height at which it stands, and the hoist lets go as soon as it
    has been commanded to stand by and is then commanded otherwise: a policy has taken over.

    Args:
        scene: The robot and what stands around it.
        seed: Draws the unit and the noise.
        values: Parameters that take the place of those of the seed's unit, by name.

    Raises:
        ValueError: the model does not compile, contradicts the description, or has nothing to read for a signal.
    """

    without_command = "joints damped only"

    def __init__(self, scene: Scene, seed: int, *, values: Values | None = None) -> None:
        self.robot, self.timestep_s = scene.robot, scene.timestep_s
        drawn = np.random.default_rng([seed, 0])
        self.values: dict[str, Array] = {**draw_unit(scene, drawn), **(values or {})}
        self._heading = float(drawn.uniform(-math.pi, math.pi))
        self.energy_j = 0.0
        """Mechanical work of the drives since the start, J; what they brake is lost."""
        self._model = compile_unit(scene, self.values)
        self._data = mujoco.MjData(self._model)
        self._base = FreeBody(self._model, self.robot.base) if self.robot.base else None
        noise = np.random.default_rng([seed, 1])
        self._sensing = Sensing(self.robot, self._model, self._base, self._heading, noise, self._told())
        self._drives = [make_drive(item, self.robot, self._model, self.values) for item in self.robot.actuators]
        self._driven = np.array([self._model.joint(name).dofadr[0] for name in self.robot.joints], dtype=int)
        self._hoist_m: float | None = None
        self._stands_by = False
        self._place_things(scene)
        self._rest()

    @property
    def time_s(self) -> float:
        """Simulated time, s."""
        return self._data.time

    @property
    def mass(self) -> float:
        """Mass of the robot with its load, kg."""
        return float(self._model.body_subtreemass[self._root])

    @property
    def base_touches(self) -> bool:
        """Whether the base, or what is welded to it, touches what does not belong to the robot."""
        weld, root = self._model.body_weldid, self._model.body_rootid
        bodies = self._model.geom_bodyid[self._data.contact.geom]  # (n, 2)
        is_base, is_robot = weld[bodies] == weld[self._root], root[bodies] == root[self._root]
        return bool((is_base.any(axis=1) & ~is_robot.all(axis=1)).any())

    @property
    def _root(self) -> int:
        return self._model.body(self.robot.base).id if self.robot.base else 0

    def turn_over(self) -> None:
        """Put it on its back. Raises ValueError for a robot that is fixed to its place."""
        if self._base is None:
            raise ValueError(f"{self.robot.name} is fixed to its place: it cannot lie on its back")
        self._hoist_m = None
        self._base.hold(self._data, _standing_height(self.robot), UPSIDE_DOWN)
        self._settle()

    def step(self, commands: Mapping[str, Array | None], n: int = 1) -> None:
        """`n` physics steps with the newest of each command; None for drives that only damp."""
        self._watch_hoist(commands)
        for _ in range(n):
            for drive in self._drives:
                drive.control(commands[drive.command], self._data)
            speed = self._data.qvel[self._driven]
            mujoco.mj_step(self._model, self._data)
            power = self._data.qfrc_actuator[self._driven] * speed
            self.energy_j += float(np.maximum(power, 0.0).sum()) * self.timestep_s
            if self._base and self._hoist_m is not None:
                self._base.hold(self._data, self._hoist_m)

    def truth(self) -> Truth:
        """The base as it is; at the origin for a robot that is fixed."""
        if self._base:
            return self._base.truth(self._data)
        level = np.array([1.0, 0.0, 0.0, 0.0])
        return Truth(position=np.zeros(3), orientation=level, linear_velocity=np.zeros(3), angular_velocity=np.zeros(3))

    def sense(self) -> dict[str, Array]:
        """The robot as its sensors see it."""
        return self._sensing.read(self._data)

    def hidden(self) -> dict[str, object]:
        """The unit's parameters, and for a free base the heading of its IMU's zero, rad."""
        values = {name: value.item() if value.size == 1 else value.tolist() for name, value in self.values.items()}
        return {"parameters": values | ({"heading": self._heading} if self._base else {})}

    def close(self) -> None:
        """Release what its sensors hold."""
        self._sensing.close()

    # --- before it is commanded ---

    def _told(self) -> dict[str, Callable[[], Array]]:
        """What stands around the robot, as its task sees it, by signal: here there is no task."""
        return {}

    def _place_things(self, scene: Scene) -> None:
        """Put what stands around the robot where it begins: here it is where the model has it."""

    def _rest(self) -> None:
        pose = {name: joint.default_position for name, joint in self.robot.joints.items()}
        for command in self.robot.commands:
            pose |= {name: value for name, value in zip(command.order, command.safe, strict=True) if name in pose}
        for name, angle in pose.items():
            self._data.qpos[self._model.joint(name).qposadr[0]] = angle
        if self._base:
            stance = _stance(self.robot, pose)
            self._hoist_m = None if stance else _standing_height(self.robot)
            self._base.hold(self._data, stance.height if stance else _standing_height(self.robot))
            self._settle()
        mujoco.mj_forward(self._model, self._data)
        self._data.time = self.energy_j = 0.0

    def _settle(self) -> None:
        """Let it come to rest; then time begins."""
        nothing: dict[str, Array | None] = {command.name: None for command in self.robot.commands}
        self.step(nothing, round(_SETTLE_S / self.timestep_s))
        self._data.time = self.energy_j = 0.0

    def _watch_hoist(self, commands: Mapping[str, Array | None]) -> None:
        if self._hoist_m is None:
            return
        standby = all(
            (value := commands[command.name]) is not None and np.allclose(value, command.standby)
            for command in self.robot.commands
        )
        moves = all(value is not None for value in commands.values()) and not standby
        if self._stands_by and moves:
            self._hoist_m = None
        self._stands_by = self._stands_by or standby


def _standing_height(robot: RobotDescription) -> float:
    if "stand" not in robot.stances:
        raise ValueError(f"{robot.name} has no stance 'stand', at whose height a stand-in could hold it; add one")
    return robot.stances["stand"].height


def _stance(robot: RobotDescription, pose: Mapping[str, float]) -> Stance | None:
    """The stance at these joint positions, rad."""
    angles = list(pose.values())
    return next((stance for stance in robot.stances.values() if np.allclose(stance.joints, angles)), None)
