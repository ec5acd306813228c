"""The biped is the robot that its maker published, left as right, and stands on its soles for a moment."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest

from isthmus_sim.robots.biped.description import (
    CROUCH_POSE,
    DEFAULT_POSE,
    FEET,
    JOINTS,
    MIRROR,
    MOTORS,
    ROBOT,
    STAND_HEIGHT,
    base_height,
    foot_position,
)
from isthmus_sim.robots.biped.links import ARM, LEFT, MASS, SIDES, TRUNK, Link
from isthmus_sim.robots.biped.mjcf import biped_mjcf
from isthmus_sim.robots.quadruped.description import ROBOT as QUADRUPED

TARGET = ROBOT.command("joint_position_target")
STIFFNESS, DAMPING, LIMITS = (
    np.array([getattr(joint, name) for joint in ROBOT.joints.values()])
    for name in ("stiffness", "damping", "effort_limit")
)
BALLS = [f"{foot}_{i}" for foot in FEET for i in range(4)]


@pytest.fixture
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(biped_mjcf(timestep=0.005))


def _standing(model: mujoco.MjModel) -> mujoco.MjData:
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("stand").id)
    mujoco.mj_forward(model, data)
    return data


def _posed(model: mujoco.MjModel, pose: np.ndarray) -> mujoco.MjData:
    """The base at the origin."""
    data = mujoco.MjData(model)
    data.qpos[:7], data.qpos[7:] = (0, 0, 0, 1, 0, 0, 0), pose
    mujoco.mj_kinematics(model, data)
    return data


def _step(model: mujoco.MjModel, data: mujoco.MjData, target: np.ndarray, strength: float = 1.0) -> None:
    """One physics step of PD."""
    wanted = STIFFNESS * (target - data.qpos[7:]) - DAMPING * data.qvel[6:]
    data.ctrl[:] = strength * np.clip(wanted, -LIMITS, LIMITS)
    mujoco.mj_step(model, data)


def _tilt(data: mujoco.MjData) -> float:
    """Angle between the base's and the world's upward direction, degrees."""
    return math.degrees(math.acos(min(1.0, data.body("base").xmat[8])))


def _mirrored(pose: np.ndarray) -> np.ndarray:
    angle = dict(zip(JOINTS, pose, strict=True))
    image = {MIRROR[name][0]: MIRROR[name][1] * angle[name] for name in JOINTS}
    return np.array([image[name] for name in JOINTS])


def test_masses_are_the_published_ones(model: mujoco.MjModel):
    """Pelvis and shell; torso, logo and head; arms; legs of Unitree's g1_23dof_rev_1_0.urdf."""
    trunk = 3.813 + 0.001 + 6.78 + 0.001 + 1.036
    arm, leg = 0.718 + 0.643 + 0.734 + 0.6 + 0.35692864, 1.35 + 1.52 + 1.702 + 1.932 + 0.074 + 0.608
    total = trunk + 2 * (arm + leg)
    assert total == pytest.approx(32.107, abs=5e-4)
    assert model.body_mass.sum() == pytest.approx(total)
    assert pytest.approx(total) == MASS == ROBOT.mass


def test_trunk_and_arms_are_one_body_as_published(model: mujoco.MjModel):
    """Unitree's own merging of the same links, in unitree_rl_gym's g1_12dof.xml; the right shoulder sits 10 µm farther
    in there."""
    base = model.body("base")
    assert float(base.mass[0]) == pytest.approx(17.7349, abs=1e-4)
    assert base.ipos == pytest.approx((0.0144905, 0.000151462, 0.144068), abs=3e-6)
    assert base.inertia == pytest.approx((0.552723, 0.454092, 0.211762), rel=1e-4)
    published = np.zeros(9)
    mujoco.mju_quat2Mat(published, np.array((0.999881, -0.000505543, -0.0154276, 0.000328408)))
    axes = np.zeros(9)
    mujoco.mju_quat2Mat(axes, base.iquat)
    overlap = axes.reshape(3, 3).T @ published.reshape(3, 3)
    assert np.abs(np.diag(overlap)) == pytest.approx(np.ones(3), abs=1e-6)


def _element(link: Link, side: str, content: str = "") -> str:
    """A fixed link of the left side, or its mirror image, as MJCF that says nothing of its parent's frame."""
    left = LEFT[side]
    x, y, z = link.offset
    roll, pitch, yaw = link.tilt
    inertial = link.inertial.mirrored(1, left)
    com, inertia = (" ".join(repr(value) for value in values) for values in (inertial.com, inertial.inertia))
    return (
        f'<body pos="{x} {left * y} {z}" euler="{left * roll} {pitch} {left * yaw}">'
        f'<inertial pos="{com}" mass="{inertial.mass}" fullinertia="{inertia}"/>{content}</body>'
    )


def test_merging_is_mujocos(model: mujoco.MjModel):
    """The same parts as fixed bodies in one another, which MuJoCo fuses."""
    arms = ""
    for side in SIDES:
        arm = ""
        for link in reversed(ARM.values()):
            arm = _element(link, side, arm)
        arms += arm
    parts = "".join(_element(link, "left") for link in TRUNK.values()) + arms
    text = f"""
        <mujoco>
          <compiler angle="radian" eulerseq="XYZ" fusestatic="true"/>
          <worldbody><body name="base"><freejoint/>{parts}</body></worldbody>
        </mujoco>"""
    fused = mujoco.MjModel.from_xml_string(text)
    assert fused.nbody == 2
    ours, theirs = model.body("base"), fused.body("base")
    assert ours.mass == pytest.approx(theirs.mass)
    assert ours.ipos == pytest.approx(theirs.ipos, abs=1e-8)
    assert ours.inertia == pytest.approx(theirs.inertia, rel=1e-7)


def test_left_and_right_legs_are_mirror_images(model: mujoco.MjModel):
    for link in ("hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll"):
        a, b = model.body(f"left_{link}_link"), model.body(f"right_{link}_link")
        assert a.ipos == pytest.approx(b.ipos * (1, -1, 1))
        assert a.inertia == pytest.approx(b.inertia)


def test_feet_by_hand_worked_kinematics():
    """At zero. Between hip and knee the frame is tilted by -0.1749 rad, cosine 0.984744 and sine -0.174010: the thigh
    goes 46.2 mm forward and as much back, and 117.9 and 188.3 mm down."""
    forward = (0.025001 - 0.078273) * 0.984744 + (0.12412 + 0.17734) * 0.174010
    down = (0.12412 + 0.17734) * 0.984744 - (0.025001 - 0.078273) * 0.174010
    x, y = forward + 0.035, 0.064452 + 0.052 + 0.0021489 - 9.4445e-5
    z = -(0.1027 + 0.030465 + down + 0.30001 + 0.017558 + 0.035)
    assert foot_position("left", (0.0,) * 6) == pytest.approx((x, y, z), abs=1e-6)
    assert (x, y, z) == pytest.approx((0.035, 0.1185, -0.7919), abs=1e-4)
    # A right angle of the hip's pitch turns forward into down, about the hip.
    x, y, z = foot_position("left", (-math.pi / 2, *(0.0,) * 5))
    assert (x, z) == pytest.approx((0.7919 - 0.1027, -0.1027 + 0.035), abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_feet_of_the_model_are_where_kinematics_puts_them(model: mujoco.MjModel, seed: int):
    pose = np.random.default_rng(seed).uniform(TARGET.minimum, TARGET.maximum)
    data = _posed(model, pose)
    for i, side in enumerate(SIDES):
        expected = foot_position(side, tuple(pose[6 * i : 6 * i + 6]))
        assert data.site(f"{side}_foot").xpos == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_a_mirrored_pose_puts_the_feet_where_the_mirror_does(model: mujoco.MjModel, seed: int):
    pose = np.random.default_rng(seed).uniform(TARGET.minimum, TARGET.maximum)
    assert (_mirrored(pose) >= TARGET.minimum).all()
    assert (_mirrored(pose) <= TARGET.maximum).all()
    assert _mirrored(_mirrored(pose)) == pytest.approx(pose)
    data, image = _posed(model, pose), _posed(model, _mirrored(pose))
    reflection = np.diag((1.0, -1.0, 1.0))
    for foot, other in (FEET, FEET[::-1]):
        assert image.site(other).xpos == pytest.approx(reflection @ data.site(foot).xpos, abs=1e-9)
        turned = reflection @ data.site(foot).xmat.reshape(3, 3) @ reflection
        assert image.site(other).xmat == pytest.approx(turned.ravel(), abs=1e-9)


def test_joints_are_the_same_in_description_and_model(model: mujoco.MjModel):
    assert list(ROBOT.joints) == list(JOINTS) == [model.joint(i).name for i in range(1, model.njnt)]
    assert [model.actuator(i).name for i in range(model.nu)] == list(JOINTS)
    assert [model.sensor(i).name for i in range(model.nsensor)] == list(FEET) == list(ROBOT.legs)
    assert [name for leg in ROBOT.legs.values() for name in leg] == list(JOINTS)
    for name, joint in ROBOT.joints.items():
        assert tuple(model.joint(name).range) == pytest.approx((joint.position_min, joint.position_max))
    order = {signal.order for signal in ROBOT.signals if signal.frame == "joint"} | {TARGET.order}
    assert order == {JOINTS}


def test_limits_are_the_published_ones():
    """Lower and upper angle, torque and speed in Unitree's URDF."""
    published = {
        "left_hip_pitch_joint": (-2.5307, 2.8798, 88, 32),
        "left_hip_roll_joint": (-0.5236, 2.9671, 139, 20),
        "right_hip_roll_joint": (-2.9671, 0.5236, 139, 20),
        "right_hip_yaw_joint": (-2.7576, 2.7576, 88, 32),
        "right_knee_joint": (-0.087267, 2.8798, 139, 20),
        "left_ankle_pitch_joint": (-0.87267, 0.5236, 35, 30),
        "right_ankle_roll_joint": (-0.2618, 0.2618, 35, 30),
    }
    for name, limits in published.items():
        joint = ROBOT.joints[name]
        assert (joint.position_min, joint.position_max, joint.effort_limit, joint.velocity_limit) == limits


def test_it_speaks_and_listens_as_the_quadruped_does():
    """One task and one set of topics serve both."""

    def interface(robot):
        items = (*robot.signals, *robot.commands)
        return [(item.name, item.unit, item.frame, None if item.frame == "joint" else item.order) for item in items]

    assert interface(ROBOT) == interface(QUADRUPED)


def test_poses_lie_within_the_limits():
    for pose in (DEFAULT_POSE, CROUCH_POSE, TARGET.safe, TARGET.standby, ROBOT.default_pose):
        assert (np.array(pose) >= TARGET.minimum).all()
        assert (np.array(pose) <= TARGET.maximum).all()


def test_motors_are_the_published_ones(model: mujoco.MjModel):
    """Unitree's actuator data: inertias at the output; 71 N·m at 22.63 rad/s and 111 N·m at 14.5 rad/s."""
    hip, knee = MOTORS["hip_pitch"], MOTORS["knee"]
    assert hip.saturation_effort * (1 - 22.63 / hip.no_load_speed) == pytest.approx(71, rel=0.01)
    assert knee.saturation_effort * (1 - 14.5 / knee.no_load_speed) == pytest.approx(111, rel=0.05)
    inertia = {"hip_pitch": 0.01017752, "hip_roll": 0.025101925, "hip_yaw": 0.01017752, "knee": 0.025101925}
    inertia |= {"ankle_pitch": 2 * 0.003609725, "ankle_roll": 2 * 0.003609725}
    for name, value in inertia.items():
        assert float(model.joint(f"left_{name}_joint").armature[0]) == pytest.approx(value, rel=1e-6)


def _gaps(model: mujoco.MjModel, data: mujoco.MjData) -> dict[str, float]:
    """How high the geoms are over the ground, m."""
    ground = model.geom("ground").id
    return {
        model.geom(i).name: mujoco.mj_geomDistance(model, data, i, ground, 2.0, None)
        for i in range(model.ngeom)
        if i != ground
    }


def test_it_stands_on_eight_balls(model: mujoco.MjModel):
    gaps = _gaps(model, _standing(model))
    assert set(gaps) == {*BALLS, "trunk"}
    assert [gaps[ball] for ball in BALLS] == pytest.approx([0.0] * 8, abs=1e-6)
    assert gaps["trunk"] > 0.5
    assert ROBOT.stances["stand"].height == STAND_HEIGHT


def test_a_foot_feels_with_its_whole_sole(model: mujoco.MjModel):
    data = _standing(model)
    for foot in FEET:
        site = data.site(foot)
        middle = np.mean([data.geom(f"{foot}_{i}").xpos for i in range(4)], axis=0)
        assert site.xpos == pytest.approx(middle - (0, 0, 0.005), abs=1e-6)
        for i in range(4):
            place = site.xmat.reshape(3, 3).T @ (data.geom(f"{foot}_{i}").xpos - site.xpos)
            assert (np.abs(place) + 0.005 < model.site(foot).size).all()


def test_for_a_moment_it_stands_and_its_feet_carry_it(model: mujoco.MjModel):
    """It is an inverted pendulum: nothing but PD holds it for a moment, and topples it in the end."""
    data, forces = _standing(model), []
    for _ in range(80):
        _step(model, data, np.array(DEFAULT_POSE))
        forces.append(data.sensordata.copy())
    assert data.qpos[2] == pytest.approx(STAND_HEIGHT, abs=0.01)
    assert _tilt(data) < 5
    left, right = np.mean(forces[30:], axis=0) / (9.81 * MASS)
    assert left + right == pytest.approx(1.0, abs=0.02)
    assert left == pytest.approx(right, abs=0.02)


@pytest.mark.parametrize("factor", [1.0, 1.21])
def test_in_the_air_joints_do_not_go_back_and_forth(model: mujoco.MjModel, factor: float):
    """At 200 Hz, also where gains and torques are a tenth larger each: the acceleration of a joint that follows a
    target seldom changes its sign from one step to the next."""
    data = _standing(model)
    model.opt.gravity[:] = 0.0
    data.qpos[2] = 2.0
    targets = np.array(DEFAULT_POSE) + np.random.default_rng(0).uniform(-0.2, 0.2, (100, 12))
    speeds = []
    for target in targets.repeat(4, axis=0):
        _step(model, data, target, factor)
        speeds.append(data.qvel[6:].copy())
    sign = np.sign(np.diff(speeds, axis=0))
    assert (sign[1:] != sign[:-1]).mean(axis=0).max() < 0.5


def _fall(model: mujoco.MjModel, goal: tuple[float, ...]) -> float:
    """Speed, m/s, with which the trunk meets the ground; 0 where it does not within 4 s. It starts leaning, at rest."""
    data, target = _standing(model), np.array(DEFAULT_POSE)
    data.qpos[3:7] = math.cos(0.03), 0.0, math.sin(0.03), 0.0
    rate = np.array(TARGET.transition_rate)
    trunk = model.geom("trunk").id
    for step in range(800):
        if step % 4 == 0:
            target = target + np.clip(np.array(goal) - target, -0.02 * rate, 0.02 * rate)
        before = data.geom("trunk").xpos.copy()
        _step(model, data, target)
        if np.isin(data.contact.geom, trunk).any():
            return float(before[2] - data.geom("trunk").xpos[2]) / model.opt.timestep
    return 0.0


def test_the_safe_pose_softens_the_fall(model: mujoco.MjModel):
    assert _fall(model, TARGET.safe) < 0.6 * _fall(model, TARGET.standby)


def test_transitions_arrive_together():
    travel = np.abs(np.array(DEFAULT_POSE) - CROUCH_POSE)
    moved = travel > 0
    assert travel[moved] / np.array(TARGET.transition_rate)[moved] == pytest.approx(np.full(moved.sum(), 0.5))
    assert (np.array(TARGET.transition_rate) > 0).all()
    assert (np.array(TARGET.transition_rate) < np.array(TARGET.max_rate)).all()


def test_links_collide_with_the_ground_alone(model: mujoco.MjModel):
    """Even with legs crossed and folded into the trunk."""
    data = mujoco.MjData(model)
    data.qpos[2], data.qpos[7:] = 2.0, [-2.5, -0.5, 0.5, 2.8, 0.0, 0.0, -2.5, 0.5, -0.5, 2.8, 0.0, 0.0]
    mujoco.mj_forward(model, data)
    assert data.ncon == 0


def test_looks_change_nothing_but_the_image(model: mujoco.MjModel):
    dressed = mujoco.MjModel.from_xml_string(biped_mjcf(scene=True, timestep=0.005))
    assert dressed.ngeom > model.ngeom
    assert dressed.body_mass == pytest.approx(model.body_mass)
    assert dressed.body_inertia == pytest.approx(model.body_inertia)
    assert sum(dressed.geom_contype != 0) == sum(model.geom_contype != 0) == len(BALLS) + 2  # hull, ground


def test_plausibility_bounds_hold_every_allowed_motion():
    """A reading that the robot can give is never refused: at the limits, at full speed, over a period."""
    position, velocity = ROBOT.signal("joint_position"), ROBOT.signal("joint_velocity")
    speed = np.array([joint.velocity_limit for joint in ROBOT.joints.values()])
    assert (np.array(position.minimum) < TARGET.minimum).all()
    assert (np.array(position.maximum) > TARGET.maximum).all()
    assert (np.array(velocity.maximum) > speed).all()
    assert (np.array(position.max_jump) > speed * ROBOT.control_period_s).all()


def test_base_height_is_that_of_the_lowest_ball_or_the_hull():
    assert base_height((0.0,) * 12) == pytest.approx(0.7919, abs=1e-4)
    on_tiptoe = (0.0, 0.0, 0.0, 0.0, 0.5, 0.0) * 2  # the toes, 0.12 m before the ankle, go down by sin(0.5) of that
    assert base_height(on_tiptoe) == pytest.approx(
        0.7569 + 0.12 * 0.4794 + 0.03 * 0.8776 + 0.005 - 0.0176 * 0.1224, abs=1e-4
    )
    legs_up = (-2.5, 0.0, 0.0, 0.0, 0.0, 0.0) * 2
    assert base_height(legs_up) == pytest.approx(0.15)
