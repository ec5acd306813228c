"""The part of `isaacgym.gymapi` that the worker uses, Python 3.8 and MuJoCo 3.2 or later."""

# pyright: reportAttributeAccessIssue=false, reportOptionalSubscript=false

import copy
import ctypes
import os
import tempfile
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import mujoco
import numpy as np

SIM_PHYSX, UP_AXIS_Z, GLOBAL_SPACE, DOF_MODE_EFFORT = 1, 1, 2, 3
DTYPE_FLOAT32, DTYPE_UINT32 = 0, 4
_DTYPES = {DTYPE_FLOAT32: np.float32, DTYPE_UINT32: np.int32}


class Vec3:
    def __init__(self, x=0.0, y=0.0, z=0.0):
        self.x, self.y, self.z = x, y, z


class Tensor:
    def __init__(self):
        self.device = self.dtype = self.shape = self.data_address = None


def _shared(array):
    tensor = Tensor()
    tensor.device, tensor.dtype, tensor.shape, tensor.data_address = -1, DTYPE_FLOAT32, array.shape, array.ctypes.data
    return tensor


def _array(tensor):
    """A copy of what a tensor holds now."""
    assert tensor.device == -1
    count = int(np.prod(tensor.shape))
    kind = ctypes.c_float if tensor.dtype == DTYPE_FLOAT32 else ctypes.c_int32
    flat = np.ctypeslib.as_array(ctypes.cast(tensor.data_address, ctypes.POINTER(kind)), (count,))
    return flat.reshape(tensor.shape).copy()


class Transform:
    def __init__(self):
        self.p = Vec3()


class SimParams:
    def __init__(self):
        self.physx = SimpleNamespace()


class AssetOptions:
    pass


class PlaneParams:
    pass


class TriangleMeshParams:
    pass


def acquire_gym():
    return Gym()


class Gym:
    """One simulation."""

    # --- building ---

    def create_sim(self, compute_device, graphics_device, type, params):
        assert type == SIM_PHYSX
        assert not params.use_gpu_pipeline
        self._params, self._envs = params, []
        self._ground: Any = None
        return self

    def add_ground(self, sim, params):
        assert (params.normal.x, params.normal.y, params.normal.z) == (0.0, 0.0, 1.0)
        self._ground = {"type": "plane", "size": "0 0 1"}, None, params.static_friction

    def add_triangle_mesh(self, sim, vertices, triangles, params):
        points = vertices.reshape(params.nb_vertices, 3).astype(np.float64)
        assert triangles.max() < params.nb_vertices
        x, y = np.unique(points[:, 0]), np.unique(points[:, 1])
        heights = points[:, 2].reshape(len(x), len(y))
        low, high = heights.min(), heights.max()
        size = f"{x[-1]:.9g} {y[-1]:.9g} {high - low:.9g} 0.5"
        field = {"name": "field", "nrow": str(len(y)), "ncol": str(len(x)), "size": size}
        place = {"type": "hfield", "hfield": "field", "pos": f"0 0 {low:.9g}"}
        self._ground = place, (field, (heights.T - low) / (high - low)), params.static_friction

    def load_asset(self, sim, rootpath, filename, options):
        assert options.use_physx_armature
        assert not options.fix_base_link
        with open(os.path.join(rootpath, filename)) as file:
            root = ElementTree.fromstring(file.read())
        own = ElementTree.SubElement(root, "mujoco")
        ElementTree.SubElement(own, "compiler", fusestatic="false", balanceinertia="false")
        model = mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode"))
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "robot.xml")
            mujoco.mj_saveLastXML(path, model)
            mjcf = ElementTree.parse(path).getroot()
        return self._compiled(mjcf)

    def _compiled(self, mjcf):
        """The robot, free, on the ground."""
        place, field, _ = self._ground
        world = mjcf.find("worldbody")
        mjcf.find("compiler").set("boundmass", "0")
        world.find("body").insert(0, ElementTree.Element("freejoint"))
        for geom in world.iter("geom"):
            geom.attrib.update(contype="1", conaffinity="0", priority="1")
        ElementTree.SubElement(world, "geom", dict(place, name="ground"))
        ElementTree.SubElement(
            mjcf, "option", timestep=f"{self._params.dt:.9g}", gravity=f"0 0 {self._params.gravity.z:.9g}",
            integrator="implicitfast", impratio="10", iterations="50",
        )
        if field is not None:
            ElementTree.SubElement(mjcf.find("asset") or ElementTree.SubElement(mjcf, "asset"), "hfield", field[0])
        model = mujoco.MjModel.from_xml_string(ElementTree.tostring(mjcf, encoding="unicode"))
        if field is not None:
            model.hfield_data[:] = field[1].ravel()
        joints = [model.joint(i) for i in range(1, model.njnt)]
        asset = SimpleNamespace(
            model=model,
            dofs=sorted((joint.name for joint in joints), key=lambda name: name[::-1]),
            bodies=sorted((model.body(i).name for i in range(1, model.nbody)), reverse=True),
            base=model.body(1).name,
        )
        asset.q = np.array([int(model.joint(name).qposadr[0]) for name in asset.dofs], int)
        asset.v = np.array([int(model.joint(name).dofadr[0]) for name in asset.dofs], int)
        asset.ids = [model.body(name).id for name in asset.bodies]
        return asset

    def get_asset_dof_names(self, asset):
        return asset.dofs

    def get_asset_rigid_body_names(self, asset):
        return asset.bodies

    def get_asset_dof_properties(self, asset):
        names = ["lower", "upper", "driveMode", "stiffness", "damping", "velocity", "effort", "friction", "armature"]
        return np.zeros(len(asset.dofs), [(name, "f4") for name in names])

    def create_env(self, sim, lower, upper, num_per_row):
        return len(self._envs)

    def create_actor(self, env, asset, pose, name, group, filter, segmentation_id):
        assert group == env, "worlds must not touch each other"
        assert filter != 0, "parts of a robot must not touch each other"
        model = copy.copy(asset.model)
        self._envs.append(SimpleNamespace(asset=asset, model=model, data=mujoco.MjData(model)))
        return 0

    def set_actor_dof_properties(self, env, actor, properties):
        assert (properties["driveMode"] == DOF_MODE_EFFORT).all()
        self._envs[env].model.dof_armature[self._envs[env].asset.v] = properties["armature"]
        return True

    def get_actor_rigid_shape_properties(self, env, actor):
        model = self._envs[env].model
        return [SimpleNamespace(friction=0.0) for body in model.geom_bodyid if body]

    def set_actor_rigid_shape_properties(self, env, actor, properties):
        model, ground = self._envs[env].model, self._ground[2]
        for geom, shape in zip(np.flatnonzero(model.geom_bodyid), properties):
            model.geom_friction[geom, 0] = 0.5 * (shape.friction + ground)
        return True

    def get_actor_rigid_body_properties(self, env, actor):
        def one():
            return SimpleNamespace(mass=0.0, com=Vec3(), inertia=SimpleNamespace(x=None, y=None, z=None))

        return [one() for _ in self._envs[env].asset.bodies]

    def set_actor_rigid_body_properties(self, env, actor, properties, recompute_inertia):
        assert not recompute_inertia
        own = self._envs[env]
        for body, given in zip(own.asset.ids, properties):
            rows = [(row.x, row.y, row.z) for row in (given.inertia.x, given.inertia.y, given.inertia.z)]
            moments, axes = np.linalg.eigh(np.array(rows))
            axes = axes * np.sign(np.linalg.det(axes))
            own.model.body_mass[body] = given.mass
            own.model.body_ipos[body] = (given.com.x, given.com.y, given.com.z)
            own.model.body_inertia[body] = moments
            mujoco.mju_mat2Quat(own.model.body_iquat[body], np.ascontiguousarray(axes).ravel())
        mujoco.mj_setConst(own.model, own.data)
        return True

    # --- tensors ---

    def prepare_sim(self, sim):
        n, asset = len(self._envs), self._envs[0].asset
        self._root = np.full((n, 13), np.nan, np.float32)
        self._dofs = np.full((n * len(asset.dofs), 2), np.nan, np.float32)
        self._contacts = np.full((n * len(asset.bodies), 3), np.nan, np.float32)
        self._waiting, self._effort, self._wrench = {}, None, None
        return True

    def acquire_actor_root_state_tensor(self, sim):
        return _shared(self._root)

    def acquire_dof_state_tensor(self, sim):
        return _shared(self._dofs)

    def acquire_net_contact_force_tensor(self, sim):
        return _shared(self._contacts)

    def refresh_actor_root_state_tensor(self, sim):
        for row, env in zip(self._root, self._envs):
            q, v, body = env.data.qpos, env.data.qvel, env.model.body(env.asset.base).id
            turn = np.zeros(9)
            mujoco.mju_quat2Mat(turn, q[3:7])
            turn = turn.reshape(3, 3)
            angular = turn @ v[3:6]
            centre = v[:3] + np.cross(angular, turn @ env.model.body_ipos[body])
            row[:] = np.concatenate((q[:3], q[[4, 5, 6, 3]], centre, angular))
        return True

    def refresh_dof_state_tensor(self, sim):
        for rows, env in zip(self._dofs.reshape(len(self._envs), -1, 2), self._envs):
            rows[:, 0], rows[:, 1] = env.data.qpos[env.asset.q], env.data.qvel[env.asset.v]
        return True

    def refresh_net_contact_force_tensor(self, sim):
        for rows, env in zip(self._contacts.reshape(len(self._envs), -1, 3), self._envs):
            rows[:] = _forces(env.model, env.data)[env.asset.ids]
        return True

    def set_actor_root_state_tensor_indexed(self, sim, states, actors, count):
        self._waiting["root"] = _array(states), _array(actors)[:count]
        return True

    def set_dof_state_tensor_indexed(self, sim, states, actors, count):
        self._waiting["dofs"] = _array(states), _array(actors)[:count]
        return True

    def set_dof_actuation_force_tensor(self, sim, efforts):
        self._effort = _array(efforts)
        return True

    def apply_rigid_body_force_tensors(self, sim, forces, torques, space):
        assert space == GLOBAL_SPACE
        self._wrench = _array(forces), _array(torques)
        return True

    # --- stepping ---

    def simulate(self, sim):
        self._set()
        assert self._effort is not None, "set_dof_actuation_force_tensor comes before simulate"
        for i, env in enumerate(self._envs):
            env.data.qfrc_applied[env.asset.v] = self._effort[i]
            env.data.xfrc_applied[:] = 0.0
            if self._wrench is not None:
                env.data.xfrc_applied[env.asset.ids] = np.concatenate([part[i] for part in self._wrench], axis=1)
            mujoco.mj_step(env.model, env.data)
        self._wrench = None

    def fetch_results(self, sim, wait):
        assert wait

    def _set(self):
        if "root" in self._waiting:
            states, actors = self._waiting["root"]
            for i in actors:
                env = self._envs[i]
                mujoco.mj_resetData(env.model, env.data)
        if "dofs" in self._waiting:
            states, actors = self._waiting["dofs"]
            for i in actors:
                env = self._envs[i]
                env.data.qpos[env.asset.q], env.data.qvel[env.asset.v] = states[i].T
        if "root" in self._waiting:
            states, actors = self._waiting["root"]
            for i in actors:
                self._set_root(self._envs[i], states[i].astype(np.float64))
        self._waiting = {}

    def _set_root(self, env, row):
        turn, body = np.zeros(9), env.model.body(env.asset.base).id
        env.data.qpos[:3], env.data.qpos[3:7] = row[:3], row[[6, 3, 4, 5]]
        mujoco.mju_quat2Mat(turn, env.data.qpos[3:7])
        turn = turn.reshape(3, 3)
        env.data.qvel[:3] = row[7:10] - np.cross(row[10:13], turn @ env.model.body_ipos[body])
        env.data.qvel[3:6] = turn.T @ row[10:13]


def _forces(model, data):
    """(nbody, 3) N, world: what bodies feel of their contacts."""
    found = np.zeros((model.nbody, 3))
    for number, contact in enumerate(data.contact):
        force = np.zeros(6)
        mujoco.mj_contactForce(model, data, number, force)
        world = contact.frame.reshape(3, 3).T @ force[:3]
        found[model.geom_bodyid[contact.geom2]] += world
        found[model.geom_bodyid[contact.geom1]] -= world
    return found
