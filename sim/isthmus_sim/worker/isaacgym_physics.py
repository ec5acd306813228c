"""Isaac Gym Preview 4 on the CPU, with NumPy alone: never run against Isaac Gym itself, which is on no registry.

What its documentation does not say is taken as in PhysX, and written down where it is used: docs/engines.md lists it.
"""

# Isaac Gym is not to be had by a type checker.
# pyright: reportMissingImports=false

from __future__ import annotations

import ctypes
import os
import tempfile
from typing import Any

import numpy as np
from isaacgym import gymapi

from isthmus_sim.worker.physics import Array, Bodies, State
from isthmus_sim.worker.robot import Robot
from isthmus_sim.worker.rotations import cross, inertia_in_body, rotate
from isthmus_sim.worker.terrain import triangles
from isthmus_sim.worker.urdf import urdf

_XYZW = [1, 2, 3, 0]
"""Columns of a quaternion wxyz in Isaac Gym's order."""
_WXYZ = [3, 0, 1, 2]
_ANY_SPEED = 1e6


class IsaacGymPhysics:
    """`Physics`: an environment each with one actor. Tensors are the simulator's own memory, as last refreshed."""

    def __init__(self, robot: Robot, heights: Array, origins: Array) -> None:
        self._robot, self._gym = robot, gymapi.acquire_gym()
        self._sim = self._gym.create_sim(0, -1, gymapi.SIM_PHYSX, _sim_params(robot))
        if self._sim is None:
            raise RuntimeError("Isaac Gym created no simulation")
        self._lay_ground(heights)
        asset = self._load()
        self.joints: list[str] = list(self._gym.get_asset_dof_names(asset))
        bodies = list(self._gym.get_asset_rigid_body_names(asset))
        self._bodies = [bodies.index(body.name) for body in robot.bodies]  # ours in theirs
        self._envs = [self._create(asset, world, origin) for world, origin in enumerate(origins)]
        self._gym.prepare_sim(self._sim)
        n = robot.num_envs
        self._root = _view(self._gym.acquire_actor_root_state_tensor(self._sim)).reshape(n, 13)
        self._dofs = _view(self._gym.acquire_dof_state_tensor(self._sim)).reshape(n, len(self.joints), 2)
        self._contacts = _view(self._gym.acquire_net_contact_force_tensor(self._sim)).reshape(n, len(bodies), 3)
        self._centre = np.repeat(np.array([robot.bodies[0].centre], np.float32), n, axis=0)
        self._axes = np.array([body.inertia_orientation for body in robot.bodies])
        self._pushes = np.zeros((2, n, len(bodies), 3), np.float32)
        self._begun = np.zeros(n, bool)
        self._refresh()
        self.versions: dict[str, str] = {"isaacgym": "Preview 4 interface"}

    # --- building ---

    def _lay_ground(self, heights: Array) -> None:
        # Taken as PhysX's: a contact's friction is the mean of both; the ground has none, robots twice what is asked.
        if heights.size:
            vertices, faces = triangles(heights, self._robot.cell)
            mesh = gymapi.TriangleMeshParams()
            mesh.nb_vertices, mesh.nb_triangles = len(vertices), len(faces)
            mesh.static_friction = mesh.dynamic_friction = mesh.restitution = 0.0
            self._gym.add_triangle_mesh(self._sim, vertices.ravel(), faces.ravel(), mesh)
            return
        plane = gymapi.PlaneParams()
        plane.normal = gymapi.Vec3(0.0, 0.0, 1.0)
        plane.static_friction = plane.dynamic_friction = plane.restitution = 0.0
        self._gym.add_ground(self._sim, plane)

    def _load(self) -> Any:
        options = gymapi.AssetOptions()
        options.fix_base_link = options.collapse_fixed_joints = options.replace_cylinder_with_capsule = False
        options.override_com = options.override_inertia = False
        options.use_physx_armature = True
        options.armature = options.angular_damping = options.linear_damping = 0.0
        options.max_angular_velocity = options.max_linear_velocity = _ANY_SPEED
        options.default_dof_drive_mode = int(gymapi.DOF_MODE_EFFORT)
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "robot.urdf"), "w") as file:
                file.write(urdf(self._robot))
            asset = self._gym.load_asset(self._sim, folder, "robot.urdf", options)
        if asset is None:
            raise RuntimeError(f"Isaac Gym did not load the URDF of {self._robot.name}")
        return asset

    def _create(self, asset: Any, world: int, origin: Array) -> Any:
        gym, zero = self._gym, gymapi.Vec3(0.0, 0.0, 0.0)
        env = gym.create_env(self._sim, zero, zero, 1)  # all at one place: tensors are global, so are our places
        pose = gymapi.Transform()
        pose.p = gymapi.Vec3(float(origin[0]), float(origin[1]), 1.0)
        # A collision group of its own, and a filter by which its parts do not touch each other.
        gym.create_actor(env, asset, pose, "robot", world, 1, 0)
        armatures = {body.joint.name: body.joint.armature for body in self._robot.bodies if body.joint}
        dofs = gym.get_asset_dof_properties(asset)
        dofs["driveMode"] = int(gymapi.DOF_MODE_EFFORT)
        for name in ("stiffness", "damping", "friction"):
            dofs[name] = 0.0
        dofs["effort"] = dofs["velocity"] = _ANY_SPEED
        dofs["armature"] = [armatures[name] for name in self.joints]
        gym.set_actor_dof_properties(env, 0, dofs)
        return env

    # --- `Physics` ---

    def change(self, worlds: Array, bodies: Bodies) -> None:
        gym, moments = self._gym, inertia_in_body(bodies.inertia, self._axes)
        for row, world in enumerate(worlds):
            env = self._envs[world]
            shapes = gym.get_actor_rigid_shape_properties(env, 0)
            for shape in shapes:
                shape.friction = 2 * float(bodies.friction[row])
            gym.set_actor_rigid_shape_properties(env, 0, shapes)
            properties = gym.get_actor_rigid_body_properties(env, 0)
            for body, theirs in enumerate(self._bodies):
                _set_body(properties[theirs], bodies.mass[row, body], bodies.centre[row, body], moments[row, body])
            gym.set_actor_rigid_body_properties(env, 0, properties, False)
        self._centre[worlds] = bodies.centre[:, 0]

    def reset(self, worlds: Array, state: State) -> None:
        arm = rotate(state.orientation, self._centre[worlds])
        velocity = state.linear_velocity + cross(state.angular_velocity, arm)  # taken as the centre of mass's
        self._root[worlds] = np.concatenate(
            (state.position, state.orientation[:, _XYZW], velocity, state.angular_velocity), axis=1
        )
        self._dofs[worlds] = np.stack((state.joint_position, state.joint_velocity), axis=-1)
        # The last setter before a step wins: what was begun since the last one is set again with it.
        self._begun[worlds] = True
        ids = np.flatnonzero(self._begun).astype(np.int32)
        gym, actors = self._gym, _tensor(ids)
        gym.set_actor_root_state_tensor_indexed(self._sim, _tensor(self._root), actors, len(ids))
        gym.set_dof_state_tensor_indexed(self._sim, _tensor(self._dofs), actors, len(ids))

    def step(self, joint_torque: Array, force: Array, torque: Array) -> None:
        gym, sim = self._gym, self._sim
        efforts = np.ascontiguousarray(joint_torque, np.float32)
        gym.set_dof_actuation_force_tensor(sim, _tensor(efforts))
        if force.any() or torque.any():
            base = self._bodies[0]
            arm = rotate(self._root[:, 3:7][:, _WXYZ], self._centre)
            self._pushes[0, :, base], self._pushes[1, :, base] = force, torque - cross(arm, force)
            gym.apply_rigid_body_force_tensors(
                sim, _tensor(self._pushes[0]), _tensor(self._pushes[1]), gymapi.GLOBAL_SPACE
            )
        gym.simulate(sim)
        gym.fetch_results(sim, True)
        self._begun[:] = False
        self._refresh()

    def _refresh(self) -> None:
        self._gym.refresh_actor_root_state_tensor(self._sim)
        self._gym.refresh_dof_state_tensor(self._sim)
        self._gym.refresh_net_contact_force_tensor(self._sim)

    def joint_motion(self) -> tuple[Array, Array]:
        return self._dofs[..., 0], self._dofs[..., 1]

    def state(self) -> State:
        orientation, angular = self._root[:, 3:7][:, _WXYZ], self._root[:, 10:13]
        return State(
            position=self._root[:, :3],
            orientation=orientation,
            linear_velocity=self._root[:, 7:10] - cross(angular, rotate(orientation, self._centre)),
            angular_velocity=angular,
            joint_position=self._dofs[..., 0],
            joint_velocity=self._dofs[..., 1],
        )

    def foot_force(self) -> Array:
        # Isaac Gym gives the sum of forces on a body; upwards, that is the normal force on flat ground.
        feet = [self._bodies[foot] for foot in self._robot.feet]
        return self._contacts[:, feet, 2]


def _sim_params(robot: Robot) -> Any:
    params = gymapi.SimParams()
    params.dt, params.substeps, params.up_axis = robot.timestep, 1, gymapi.UP_AXIS_Z
    params.gravity = gymapi.Vec3(0.0, 0.0, -robot.gravity)
    params.use_gpu_pipeline = params.physx.use_gpu = False
    params.physx.solver_type, params.physx.num_threads = 1, 0
    params.physx.num_position_iterations, params.physx.num_velocity_iterations = 8, 1
    params.physx.contact_offset, params.physx.rest_offset = 0.01, 0.0
    params.physx.max_depenetration_velocity = 3.0
    return params


def _set_body(properties: Any, mass: float, centre: Array, moments: Array) -> None:
    properties.mass, properties.com = float(mass), gymapi.Vec3(*(float(value) for value in centre))
    rows = [gymapi.Vec3(*(float(value) for value in row)) for row in moments]
    properties.inertia.x, properties.inertia.y, properties.inertia.z = rows


def _view(tensor: Any) -> Array:
    """The simulator's own memory of a float32 tensor."""
    kind = ctypes.POINTER(ctypes.c_float)
    return np.ctypeslib.as_array(ctypes.cast(tensor.data_address, kind), tuple(tensor.shape))


def _tensor(array: Array) -> Any:
    """An array of float32 or int32 as Isaac Gym takes it; it must outlive the call."""
    assert array.flags.c_contiguous
    tensor = gymapi.Tensor()
    tensor.device = -1  # the CPU
    tensor.dtype = gymapi.DTYPE_FLOAT32 if array.dtype == np.float32 else gymapi.DTYPE_UINT32
    tensor.shape = list(array.shape)
    tensor.data_address = array.ctypes.data
    return tensor
