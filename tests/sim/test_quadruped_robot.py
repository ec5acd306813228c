"""The quadruped is the robot that its maker published, and stands, lies and gets up with the gains it is given."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest

from isthmus_sim.robots.quadruped.description import (
    DEFAULT_POSE,
    FEET,
    FOOT_RADIUS,
    JOINTS,
    LEGS,
    LOADED_HEIGHT,
    LOADED_POSE,
    MASS,
    MOTORS,
    PRONE_HEIGHT,
    PRONE_POSE,
    ROBOT,
    base_height,
    foot_position,
)
from isthmus_sim.robots.quadruped.mjcf import quadruped_mjcf

TARGET = ROBOT.commands[0]
LIMITS = np.array([joint.effort_limit for joint in ROBOT.joints.values()])


@pytest.fixture
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(quadruped_mjcf(timestep=0.005))


def _at(model: mujoco.MjModel, key: str) -> mujoco.MjData:
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key(key).id)
    mujoco.mj_forward(model, data)
    return data


def _hold(model: mujoco.MjModel, data: mujoco.MjData, target: np.ndarray, strength: float = 1.0) -> None:
    """One control period of PD at 200 Hz."""
    for _ in range(4):
        wanted = 25.0 * (target - data.qpos[7:]) - 0.5 * data.qvel[6:]
        data.ctrl[:] = strength * np.clip(wanted, -LIMITS, LIMITS)
        mujoco.mj_step(model, data)


def _tilt(data: mujoco.MjData) -> float:
    """Angle between the base's and the world's upward direction, degrees."""
    return math.degrees(math.acos(min(1.0, data.body("base").xmat[8])))


def test_masses_are_the_published_ones(model: mujoco.MjModel):
    """Unitree's go2_description.urdf, without the rotors that it adds as separate masses."""
    total = 6.921 + 4 * (0.678 + 1.152 + 0.154 + 0.04)
    assert total == pytest.approx(15.017)
    assert model.body_mass.sum() == pytest.approx(total)
    assert pytest.approx(total) == MASS
    assert float(model.body("RR_calf").mass[0]) == pytest.approx(0.194)


def test_a_calf_with_its_foot_is_one_body_of_the_same_inertia(model: mujoco.MjModel):
    """Worked out by hand: 0.154 kg at z = -0.115 and 0.04 kg at z = -0.213, so 0.98 mm and -135.2 mm; about y
    0.0011 + 9.6e-6 + reduced mass 0.031753 kg times (0.098² + 0.00548²) m²."""
    calf = model.body("FL_calf")
    assert calf.ipos == pytest.approx((0.154 * 0.00548 / 0.194, -0.154 * 0.000975 / 0.194, -0.135206), abs=1e-6)
    about_y = 0.0011 + 9.6e-6 + 0.154 * 0.04 / 0.194 * (0.098**2 + 0.00548**2)
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, calf.iquat)
    axes = rotation.reshape(3, 3)
    assert (axes @ np.diag(calf.inertia) @ axes.T)[1, 1] == pytest.approx(about_y, rel=1e-6)


def test_left_and_right_are_mirror_images(model: mujoco.MjModel):
    for left, right in (("FL", "FR"), ("RL", "RR")):
        for link in ("hip", "thigh", "calf"):
            a, b = model.body(f"{left}_{link}"), model.body(f"{right}_{link}")
            assert a.ipos == pytest.approx(b.ipos * (1, -1, 1))
            assert a.inertia == pytest.approx(b.inertia)


def test_feet_by_hand_worked_kinematics(model: mujoco.MjModel):
    """Front left. Zero: straight down. Default: 0.213 m at 0.8 rad, 0.213 m at -0.7 rad, the ball 2 mm behind."""
    assert foot_position("FL", 0, 0, 0) == pytest.approx((0.1914, 0.142, -0.426))
    x = 0.1934 - 0.213 * 0.717356 + 0.213 * 0.644218 - 0.002 * 0.764842
    z = -0.213 * 0.696707 - 0.213 * 0.764842 - 0.002 * 0.644218
    assert foot_position("FL", *DEFAULT_POSE[:3]) == pytest.approx((x, 0.142, z), abs=1e-5)
    assert (x, z) == pytest.approx((0.1763, -0.3126), abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_feet_of_the_model_are_where_kinematics_puts_them(model: mujoco.MjModel, seed: int):
    pose = np.random.default_rng(seed).uniform(TARGET.minimum, TARGET.maximum)
    data = mujoco.MjData(model)
    data.qpos[:7], data.qpos[7:] = (0, 0, 0, 1, 0, 0, 0), pose
    mujoco.mj_kinematics(model, data)
    for i, leg in enumerate(LEGS):
        assert data.site(leg).xpos == pytest.approx(foot_position(leg, *pose[3 * i : 3 * i + 3]), abs=1e-9)


def test_joints_are_the_same_in_specification_and_model(model: mujoco.MjModel):
    assert list(ROBOT.joints) == list(JOINTS) == [model.joint(i).name for i in range(1, model.njnt)]
    assert [model.actuator(i).name for i in range(model.nu)] == list(JOINTS)
    assert [model.sensor(i).name for i in range(model.nsensor)] == list(FEET)
    for name, joint in ROBOT.joints.items():
        assert tuple(model.joint(name).range) == pytest.approx((joint.position_min, joint.position_max))
    order = {signal.order for signal in ROBOT.signals if signal.frame == "joint"} | {TARGET.order}
    assert order == {JOINTS}


def test_poses_lie_within_the_limits():
    for pose in (DEFAULT_POSE, PRONE_POSE, LOADED_POSE, TARGET.safe, TARGET.standby):
        assert (np.array(pose) >= TARGET.minimum).all()
        assert (np.array(pose) <= TARGET.maximum).all()


def test_motors_are_the_published_ones(model: mujoco.MjModel):
    """23.7 N·m at up to 13.5 rad/s, then falling to none at 30.1 rad/s; the knee's linkage multiplies by 1.917."""
    hip, calf = MOTORS["hip"], MOTORS["calf"]
    assert hip.saturation_effort * (1 - 13.5 / 30.1) == pytest.approx(23.7)
    assert calf.effort_limit / hip.effort_limit == pytest.approx(hip.no_load_speed / calf.no_load_speed, rel=1e-3)
    # 1.118e-4 kg·m² of the rotor behind a gear of 6.33
    assert float(model.joint("FL_hip_joint").armature[0]) == pytest.approx(4.481e-3, rel=1e-3)
    assert float(model.joint("FL_calf_joint").armature[0]) == pytest.approx(1.6466e-2, rel=1e-3)


@pytest.mark.parametrize(("key", "lowest"), [("stand", FEET), ("prone", ("trunk",))])
def test_key_frames_touch_the_ground(model: mujoco.MjModel, key: str, lowest: tuple[str, ...]):
    data = _at(model, key)
    gaps = {
        model.geom(i).name: mujoco.mj_geomDistance(model, data, i, model.geom("ground").id, 1.0, None)
        for i in range(1, model.ngeom)
    }
    assert min(gaps.values()) > -1e-3
    assert [gaps[name] for name in lowest] == pytest.approx([0.0] * len(lowest), abs=1e-3)


@pytest.mark.parametrize(
    ("key", "target", "height"), [("stand", DEFAULT_POSE, LOADED_HEIGHT), ("prone", PRONE_POSE, PRONE_HEIGHT)]
)
def test_key_frames_hold(model: mujoco.MjModel, key: str, target: tuple[float, ...], height: float):
    data = _at(model, key)
    for _ in range(100):
        _hold(model, data, np.array(target))
        assert data.qpos[2] == pytest.approx(height, abs=0.01)
        assert _tilt(data) < 2
    assert np.abs(data.qvel).max() < 0.02


def test_standing_the_feet_carry_the_weight_and_prone_the_belly(model: mujoco.MjModel):
    for key, target, share in (("stand", DEFAULT_POSE, 1.0), ("prone", PRONE_POSE, 0.0)):
        data = _at(model, key)
        for _ in range(100):
            _hold(model, data, np.array(target))
        assert data.sensordata.sum() / (9.81 * MASS) == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize(
    ("strength", "payload", "forward"),
    [(1.0, 0.0, 0.0), (0.8, 0.0, 0.0), (0.85, 3.0, 0.0), (1.0, 0.0, 0.05), (1.0, 0.0, -0.05)],
    ids=["as published", "weak", "weak and loaded", "heavy head", "heavy tail"],
)
def test_it_gets_up_and_lies_down(model: mujoco.MjModel, strength: float, payload: float, forward: float):
    """At the transition rates, with nothing but joint targets, as stand-by and stop do it on the robot."""
    model.body("base").mass += payload
    model.body("base").ipos[0] += forward
    mujoco.mj_setConst(model, mujoco.MjData(model))
    data, target = _at(model, "prone"), np.array(PRONE_POSE)
    step = 0.02 * np.array(TARGET.transition_rate)
    for goal, low, high in ((DEFAULT_POSE, 0.23, 0.3), (PRONE_POSE, 0.05, 0.065)):
        for _ in range(200):
            target = target + np.clip(np.array(goal) - target, -step, step)
            _hold(model, data, target, strength)
            assert _tilt(data) < 15
        assert low < data.qpos[2] < high
        assert _tilt(data) < 6


def test_transitions_arrive_together():
    travel = np.abs(np.array(DEFAULT_POSE) - PRONE_POSE)
    rate = np.array(TARGET.transition_rate)
    assert travel / rate == pytest.approx(np.full(12, (travel / rate)[0]))
    assert rate.max() == pytest.approx(1.5)


def test_links_collide_with_the_ground_alone(model: mujoco.MjModel):
    """Even folded so far that legs lie in the trunk."""
    data = mujoco.MjData(model)
    data.qpos[2], data.qpos[7:] = 1.0, [0.5, 4.0, -2.7, -0.5, 4.0, -2.7] * 2
    mujoco.mj_forward(model, data)
    assert data.ncon == 0


def test_looks_change_nothing_but_the_image(model: mujoco.MjModel):
    dressed = mujoco.MjModel.from_xml_string(quadruped_mjcf(scene=True, timestep=0.005))
    assert dressed.ngeom > model.ngeom
    assert dressed.body_mass == pytest.approx(model.body_mass)
    assert dressed.body_inertia == pytest.approx(model.body_inertia)
    assert sum(dressed.geom_contype != 0) == sum(model.geom_contype != 0)


def test_plausibility_bounds_hold_every_allowed_motion():
    """A reading that the robot can give is never refused: at the limits, at full speed, over a period."""
    position, velocity = (next(s for s in ROBOT.signals if s.name == f"joint_{q}") for q in ("position", "velocity"))
    speed = np.array([joint.velocity_limit for joint in ROBOT.joints.values()])
    assert (np.array(position.minimum) < TARGET.minimum).all()
    assert (np.array(position.maximum) > TARGET.maximum).all()
    assert (np.array(velocity.maximum) > speed).all()
    assert (np.array(position.max_jump) > speed * ROBOT.control_period_s).all()


def test_base_height_is_the_lowest_foot_or_the_belly():
    assert base_height((0.0,) * 12) == pytest.approx(0.426 + FOOT_RADIUS)
    assert base_height(PRONE_POSE) == pytest.approx(0.057)
