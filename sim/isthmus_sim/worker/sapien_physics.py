"""SAPIEN's PhysX on the CPU: all worlds in one scene, a robot an articulation."""

# SAPIEN is optional, and its names come from a compiled module.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import numpy as np
import sapien
import sapien.physx as px

from isthmus_sim.worker.physics import Array, Bodies, State
from isthmus_sim.worker.robot import Body, Geom, Robot
from isthmus_sim.worker.rotations import cross, from_x_axis, product, rotate
from isthmus_sim.worker.terrain import triangles

GROUND, ROBOT = 1, 2
"""Bits of collision groups: robots touch the ground and nothing else."""
FREE_SPEED = 1e6
"""rad/s: nothing turns too fast for the solver."""
_CAPSULE = np.sqrt(0.5) * np.array([1.0, 0.0, -1.0, 0.0])
"""SAPIEN's capsules and cylinders lie along x, MuJoCo's along z."""


class SapienPhysics:
    """`Physics`."""

    def __init__(self, robot: Robot, heights: Array, origins: Array) -> None:
        self._robot, self._dt = robot, robot.timestep
        px.set_scene_config(
            gravity=np.array([0.0, 0.0, -robot.gravity], np.float32), enable_tgs=True, enable_enhanced_determinism=True
        )
        px.set_body_config(sleep_threshold=0.0)
        self._system = px.PhysxCpuSystem()
        self._system.set_timestep(robot.timestep)
        self._scene = sapien.Scene([self._system])
        self._lay_ground(heights)
        # A contact's friction is the mean of both materials': the ground has none, and a robot twice what is asked for.
        self._materials = [px.PhysxMaterial(2.0, 2.0, 0.0) for _ in range(robot.num_envs)]
        self._robots = [self._build(material) for material in self._materials]
        names = [body.name for body in robot.bodies]
        self._links = [
            sorted(articulation.get_links(), key=lambda link: names.index(link.name)) for articulation in self._robots
        ]
        self._feet = {
            links[body]: (world, foot)
            for world, links in enumerate(self._links)
            for foot, body in enumerate(robot.feet)
        }
        self._centre = np.repeat(np.array([robot.bodies[0].centre], np.float32), robot.num_envs, axis=0)
        self.joints: list[str] = [joint.name for joint in self._robots[0].get_active_joints()]
        self.versions: dict[str, str] = {"sapien": sapien.__version__}

    # --- building ---

    def _lay_ground(self, heights: Array) -> None:
        material = px.PhysxMaterial(0.0, 0.0, 0.0)
        ground = px.PhysxRigidStaticComponent()
        if heights.size:
            vertices, faces = triangles(heights, self._robot.cell)
            shape = px.PhysxCollisionShapeTriangleMesh(vertices, faces, np.ones(3, np.float32), material)
        else:
            shape = px.PhysxCollisionShapePlane(material)
            shape.local_pose = _pose([0.0, 0.0, 0.0], from_x_axis(np.array([0.0, 0.0, 1.0])))  # its normal is x
        shape.set_collision_groups([GROUND, ROBOT, 0, 0])
        ground.attach(shape)
        entity = sapien.Entity()
        entity.add_component(ground)
        self._scene.add_entity(entity)

    def _build(self, material: Any) -> Any:
        """One robot."""
        builder = self._scene.create_articulation_builder()
        links: list[Any] = []
        for body in self._robot.bodies:
            link = builder.create_link_builder(links[body.parent] if body.parent >= 0 else None)
            links.append(link)
            link.set_name(body.name)
            pose = _pose(body.centre, body.inertia_orientation)
            link.set_mass_and_inertia(body.mass, pose, np.array(body.inertia, np.float32))
            _join(link, body)
            for geom in body.geoms:
                _cover(link, geom, material)
        articulation = builder.build(fix_root_link=False)
        for link in articulation.get_links():
            link.set_linear_damping(0.0)
            link.set_angular_damping(0.0)
            link.set_max_angular_velocity(FREE_SPEED)
            link.set_max_depenetration_velocity(3.0)
            for shape in link.get_collision_shapes():
                shape.set_collision_groups([ROBOT, GROUND, 0, 0])
        armatures = {body.joint.name: body.joint.armature for body in self._robot.bodies if body.joint}
        for joint in articulation.get_active_joints():
            joint.set_armature(np.array([armatures[joint.name]], np.float32))
            joint.set_friction(0.0)
            joint.set_drive_properties(0.0, 0.0)
        return articulation

    # --- `Physics` ---

    def change(self, worlds: Array, bodies: Bodies) -> None:
        orientations = [body.inertia_orientation for body in self._robot.bodies]
        for row, world in enumerate(worlds):
            self._materials[world].set_static_friction(2 * float(bodies.friction[row]))
            self._materials[world].set_dynamic_friction(2 * float(bodies.friction[row]))
            for body, link in enumerate(self._links[world]):
                link.set_mass(float(bodies.mass[row, body]))
                link.set_inertia(bodies.inertia[row, body])
                link.set_cmass_local_pose(_pose(bodies.centre[row, body], orientations[body]))
        self._centre[worlds] = bodies.centre[:, 0]

    def reset(self, worlds: Array, state: State) -> None:
        arm = rotate(state.orientation, self._centre[worlds])
        velocity = state.linear_velocity + cross(state.angular_velocity, arm)  # PhysX's is the centre of mass's
        for row, world in enumerate(worlds):
            robot = self._robots[world]
            robot.set_root_pose(_pose(state.position[row], state.orientation[row]))
            robot.set_qpos(state.joint_position[row])
            robot.set_root_linear_velocity(velocity[row])
            robot.set_root_angular_velocity(state.angular_velocity[row])
            robot.set_qvel(state.joint_velocity[row])

    def step(self, joint_torque: Array, force: Array, torque: Array) -> None:
        for robot, row in zip(self._robots, joint_torque):
            robot.set_qf(row)
        pushed = np.flatnonzero(force.any(1) | torque.any(1))
        if len(pushed):
            self._push(pushed, force, torque)
        self._system.step()

    def _push(self, worlds: Array, force: Array, torque: Array) -> None:
        """A wrench lasts one step, and its force acts at the centre of mass."""
        roots = [self._links[world][0] for world in worlds]
        arm = rotate(np.stack([root.entity_pose.q for root in roots]), self._centre[worlds])
        about_centre = torque[worlds] - cross(arm, force[worlds])
        for root, world, moment in zip(roots, worlds, about_centre):
            root.add_force_torque(force[world], moment)

    def joint_motion(self) -> tuple[Array, Array]:
        positions = np.stack([robot.get_qpos() for robot in self._robots])
        return positions, np.stack([robot.get_qvel() for robot in self._robots])

    def state(self) -> State:
        poses = [robot.get_root_pose() for robot in self._robots]
        orientation = np.stack([pose.q for pose in poses])
        angular = np.stack([robot.get_root_angular_velocity() for robot in self._robots])
        linear = np.stack([robot.get_root_linear_velocity() for robot in self._robots])
        position, velocity = self.joint_motion()
        return State(
            position=np.stack([pose.p for pose in poses]),
            orientation=orientation,
            linear_velocity=linear - cross(angular, rotate(orientation, self._centre)),
            angular_velocity=angular,
            joint_position=position,
            joint_velocity=velocity,
        )

    def foot_force(self) -> Array:
        force = np.zeros((self._robot.num_envs, len(self._robot.feet)), np.float32)
        for contact in self._system.get_contacts():
            place = self._feet.get(contact.bodies[0]) or self._feet.get(contact.bodies[1])
            if place is not None:
                force[place] += sum(abs(float(point.impulse @ point.normal)) for point in contact.points)
        return force / np.float32(self._dt)


def _pose(position: Any, orientation: Any) -> Any:
    return sapien.Pose(np.asarray(position, np.float32), np.asarray(orientation, np.float32))


def _join(link: Any, body: Body) -> None:
    """The joint by which the body hangs on its parent; SAPIEN's hinges turn about x."""
    if body.joint is None:
        if body.parent >= 0:
            link.set_joint_properties(
                "fixed", [], _pose(body.position, body.orientation), _pose([0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0])
            )
        return
    turned = from_x_axis(np.array(body.joint.axis))
    orientation, anchor = np.array(body.orientation), np.array(body.joint.anchor)
    in_parent = _pose(np.array(body.position) + rotate(orientation, anchor), product(orientation, turned))
    link.set_joint_name(body.joint.name)
    limits = [[body.joint.low, body.joint.high]]
    link.set_joint_properties("revolute_unwrapped", limits, in_parent, _pose(anchor, turned))


def _cover(link: Any, geom: Geom, material: Any) -> None:
    pose, lying = _pose(geom.position, geom.orientation), product(np.array(geom.orientation), _CAPSULE)
    if geom.kind == "sphere":
        link.add_sphere_collision(pose, geom.size[0], material)
    elif geom.kind == "box":
        link.add_box_collision(pose, geom.size[:3], material)
    elif geom.kind == "capsule":
        link.add_capsule_collision(_pose(geom.position, lying), geom.size[0], geom.size[1], material)
    else:
        link.add_cylinder_collision(_pose(geom.position, lying), geom.size[0], geom.size[1], material)
