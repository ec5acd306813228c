"""Isaac's PhysX on the CPU, by `ovphysx`: its tensor bindings, which are deprecated since 0.6, so its version is exact.

NVIDIA's package has a licence of its own; `make setup-physx` names it.
"""

# ovphysx lives in an environment of its own.
# pyright: reportMissingImports=false

from __future__ import annotations

import os
import tempfile
import warnings

import numpy as np
import ovphysx
import ovstage
from ovphysx import PhysX
from ovphysx.samples.python_samples.schema_support import physx_schema_paths
from ovphysx.types import TensorType

from isthmus_sim.worker.physics import Array, Bodies, State
from isthmus_sim.worker.robot import Robot
from isthmus_sim.worker.rotations import cross, inertia_in_body, rotate
from isthmus_sim.worker.usda import ENVS, usda

_XYZW = [1, 2, 3, 0]
"""Columns of a quaternion wxyz in PhysX's order."""
_WXYZ = [3, 0, 1, 2]


class Binding:
    """One tensor of all worlds, in the robot's order of worlds."""

    def __init__(self, physx: PhysX, kind: TensorType) -> None:
        self.native = physx.create_tensor_binding(f"{ENVS}/*/robot/body_0", tensor_type=kind, raise_if_empty=True)
        worlds = [_world(path) for path in self.native.prim_paths]
        self._row = np.argsort(worlds)
        self._values = np.zeros(self.native.shape, np.float32)

    def read(self) -> Array:
        """As it is now, (n, ...): a copy."""
        self.native.read(self._values)
        return self._values[self._row]

    def write(self, worlds: Array, rows: Array) -> None:
        """Put k rows into worlds (k,)."""
        ids = self._row[worlds].astype(np.int32)
        self._values[ids] = rows
        self.native.write(self._values, indices=ids)


class OvPhysXPhysics:
    """`Physics`: an articulation each, cloned from the first."""

    def __init__(self, robot: Robot, heights: Array, origins: Array) -> None:
        warnings.simplefilter("ignore", DeprecationWarning)
        self._robot, n = robot, robot.num_envs
        PhysX.set_cpu_mode(True)
        self._physx = PhysX()
        self._populate(usda(robot, heights, origins[0]))
        self._clone(origins)
        self._bind()
        root = self._root_pose.native
        # Names are numbers of bodies.
        of_joints = {number: body.joint.name for number, body in enumerate(robot.bodies) if body.joint}
        self.joints: list[str] = [of_joints[_number(name)] for name in root.dof_names]
        self._bodies = np.argsort([_number(name) for name in root.body_names])  # ours in theirs
        self._centre = np.repeat(np.array([robot.bodies[0].centre], np.float32), n, axis=0)
        self._axes = np.array([body.inertia_orientation for body in robot.bodies])
        self._all = np.arange(n)
        self._wrench_rows = np.zeros((n, len(robot.bodies), 9), np.float32)
        self.versions: dict[str, str] = {"ovphysx": str(ovphysx.__version__)}

    # --- building ---

    def _populate(self, text: str) -> None:
        schemas = [*(str(path) for path in physx_schema_paths()), str(ovphysx.newton_schema_root())]
        ovstage.population.register_usd_schemas(schemas)
        self._stage = ovstage.Stage("worlds")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "worlds.usda")
            with open(path, "w") as file:
                file.write(text)
            ovstage.population.open_usd(self._stage, path, ordinal=1, domains=ovstage.PopulationDomain.ALL)
        self._stage.advance_write_floor(ordinal=1).wait()
        self._physx.wait_task(self._physx.attach_ovstage(self._stage, read_ordinal=1))

    def _clone(self, origins: Array) -> None:
        targets = [f"{ENVS}/env_{world}" for world in range(1, len(origins))]
        if targets:
            anchors = [(*(float(value) for value in origin), 0.0, 0.0, 0.0, 1.0) for origin in origins[1:]]
            self._physx.clone(f"{ENVS}/env_0", targets, anchor_transforms=anchors)
            self._physx.wait_all()

    def _bind(self) -> None:
        def bound(kind: TensorType) -> Binding:
            return Binding(self._physx, kind)

        self._root_pose = bound(TensorType.ARTICULATION_ROOT_POSE)
        self._root_velocity = bound(TensorType.ARTICULATION_ROOT_VELOCITY)
        self._positions = bound(TensorType.ARTICULATION_DOF_POSITION)
        self._velocities = bound(TensorType.ARTICULATION_DOF_VELOCITY)
        self._effort = bound(TensorType.ARTICULATION_DOF_ACTUATION_FORCE)
        self._wrench = bound(TensorType.ARTICULATION_LINK_WRENCH)
        self._mass = bound(TensorType.ARTICULATION_BODY_MASS)
        self._mass_centre = bound(TensorType.ARTICULATION_BODY_COM_POSE)
        self._inertia = bound(TensorType.ARTICULATION_BODY_INERTIA)
        self._friction = bound(TensorType.ARTICULATION_SHAPE_FRICTION_AND_RESTITUTION)
        feet = [f"{ENVS}/*/robot/body_{foot}" for foot in self._robot.feet]
        self._contacts = self._physx.create_contact_binding(sensor_patterns=feet) if feet else None
        if self._contacts is not None:
            places = [(_world(path), self._robot.feet.index(_number(path))) for path in self._contacts.sensor_paths]
            self._sensed = tuple(np.array(places).T)
            self._forces = np.zeros((self._contacts.sensor_count, 3), np.float32)

    # --- `Physics` ---

    def change(self, worlds: Array, bodies: Bodies) -> None:
        theirs = self._bodies
        friction = self._friction.read()[worlds]
        friction[:, :, :2] = 2 * bodies.friction[:, None, None]
        self._friction.write(worlds, friction)
        mass, centre, inertia = (b.read()[worlds] for b in (self._mass, self._mass_centre, self._inertia))
        mass[:, theirs], centre[:, theirs, :3] = bodies.mass, bodies.centre
        centre[:, :, 3:] = (0.0, 0.0, 0.0, 1.0)  # moments are along the body's axes
        inertia[:, theirs] = inertia_in_body(bodies.inertia, self._axes).reshape(*mass.shape, 9)
        self._mass.write(worlds, mass)
        self._mass_centre.write(worlds, centre)
        self._inertia.write(worlds, inertia)
        self._centre[worlds] = bodies.centre[:, 0]

    def reset(self, worlds: Array, state: State) -> None:
        arm = rotate(state.orientation, self._centre[worlds])
        velocity = state.linear_velocity + cross(state.angular_velocity, arm)  # PhysX's is the centre of mass's
        self._root_pose.write(worlds, np.concatenate((state.position, state.orientation[:, _XYZW]), axis=1))
        self._positions.write(worlds, state.joint_position)
        self._root_velocity.write(worlds, np.concatenate((velocity, state.angular_velocity), axis=1))
        self._velocities.write(worlds, state.joint_velocity)

    def step(self, joint_torque: Array, force: Array, torque: Array) -> None:
        self._effort.write(self._all, joint_torque)
        if force.any() or torque.any():
            self._push(force, torque)
        self._physx.step_sync(self._robot.timestep)

    def _push(self, force: Array, torque: Array) -> None:
        """A wrench lasts one step, and carries the place at which its force acts: the base's origin."""
        place = self._root_pose.read()[:, :3]
        self._wrench_rows[:, self._bodies[0]] = np.concatenate((force, torque, place), axis=1)
        self._wrench.write(self._all, self._wrench_rows)

    def joint_motion(self) -> tuple[Array, Array]:
        return self._positions.read(), self._velocities.read()

    def state(self) -> State:
        pose, velocity = self._root_pose.read(), self._root_velocity.read()
        orientation, angular = pose[:, 3:][:, _WXYZ], velocity[:, 3:]
        position, joint_velocity = self.joint_motion()
        return State(
            position=pose[:, :3],
            orientation=orientation,
            linear_velocity=velocity[:, :3] - cross(angular, rotate(orientation, self._centre)),
            angular_velocity=angular,
            joint_position=position,
            joint_velocity=joint_velocity,
        )

    def foot_force(self) -> Array:
        found = np.zeros((self._robot.num_envs, len(self._robot.feet)), np.float32)
        if self._contacts is not None:
            self._contacts.read_net_normal_forces(self._forces)
            found[self._sensed] = np.linalg.norm(self._forces, axis=1)
        return found


def _number(name: str) -> int:
    """The number of a body or a joint, which its name ends in."""
    return int(name.rsplit("_", 1)[1])


def _world(path: str) -> int:
    return int(path[len(ENVS) :].split("/")[1].rsplit("_", 1)[1])
