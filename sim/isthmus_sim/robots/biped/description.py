"""The biped: Unitree G1 with waist and arms fixed; motors, gains, poses and specification.

Sources. `links` for sizes and masses; the same URDF for the joints' limits of angle, torque and speed. Unitree's
actuator data in unitree_rl_lab (unitree_actuators.py) for rotors, gears, viscous friction and the torque-speed curve.
mjlab's g1_constants.py for which motor drives which joint, and for a pair at each ankle. unitree_rl_gym, whose policies
walk on the robot, for gains and default pose (g1_config.py) and for dry friction (g1_12dof.xml).
"""

from __future__ import annotations

from isthmus_sim.actuators import Motor, PDMotors
from isthmus_sim.description import Looks, RobotDescription, Stance, Vector3
from isthmus_sim.robots.biped.links import LEG, MASS, PITCH, SIDES, SOLE, SOLE_RADIUS, Array, frames
from isthmus_sim.robots.legged_signals import legged_signals
from isthmus_sim.specs import CommandSpec, JointSpec
from isthmus_sim.variations import GroundFriction, Load

GRAVITY = 9.81  # m/s²
JOINTS = tuple(f"{side}_{name}_joint" for side in SIDES for name in LEG)
FEET = tuple(f"{side}_foot" for side in SIDES)
SOLE_MIDDLE: Vector3 = (0.035, 0.0, -0.035)  # m, in the frame of the ankle's roll: on the ground under a flat foot
HULL: tuple[Vector3, Vector3] = ((0.0, 0.0, -0.05), (0.0, 0.0, 0.43))
"""Ends of the capsule around pelvis, torso and head, m, in the base frame."""
HULL_RADIUS = 0.1  # m

MIRROR_SIGN = {name: 1.0 if link.axis == PITCH else -1.0 for name, link in LEG.items()}
MIRROR = {
    f"{side}_{name}_joint": (f"{other}_{name}_joint", MIRROR_SIGN[name])
    for side, other in (SIDES, SIDES[::-1])
    for name in LEG
}
"""For each joint the one that is its mirror image, and the sign of the angle there."""


def _armature(rotor: float, first: tuple[float, float], second: tuple[float, float]) -> float:
    """Inertia at the output, kg·m², of a rotor behind two planetary stages, each given by its ratio and its inertia."""
    return (rotor * first[0] ** 2 + first[1]) * second[0] ** 2 + second[1]


# The measured curve bends at this share of the no-load speed. With the URDF's torque and speed for its ends it passes
# through the measured bends, 71 N·m at 22.6 rad/s and 111 N·m at 14.5 rad/s, to within 5 %. Of dry friction Unitree
# measured more, 0.6 to 2.4 N·m a motor; but as the drives have it (`actuators.dry_friction`), that is steep enough
# around standstill to throw a foot in the air back and forth at 200 Hz.
_N7520_14 = Motor(
    effort_limit=88.0,
    no_load_speed=32.0,
    corner_speed=32.0 * 22.63 / 35.52,
    armature=_armature(4.89e-5, (4.5, 9.8e-6), (1 + 48 / 22, 5.33e-5)),
    friction=0.1,
    damping=0.16,
)
_N7520_22 = Motor(
    effort_limit=139.0,
    no_load_speed=20.0,
    corner_speed=20.0 * 14.5 / 22.7,
    armature=_armature(4.89e-5, (4.5, 1.09e-5), (5.0, 7.38e-5)),
    friction=0.1,
    damping=0.24,
)
# Two motors move an ankle through rods; as in the sources, both its joints have the inertia of both motors.
_N5020_PAIR = Motor(
    effort_limit=35.0,
    no_load_speed=30.0,
    corner_speed=30.0 * 30.86 / 40.13,
    armature=2 * _armature(1.39e-5, (1 + 46 / 18, 1.7e-6), (1 + 56 / 16, 1.69e-5)),
    friction=0.1,
    damping=0.12,
)
MOTORS = {
    "hip_pitch": _N7520_14,
    "hip_roll": _N7520_22,
    "hip_yaw": _N7520_14,
    "knee": _N7520_22,
    "ankle_pitch": _N5020_PAIR,
    "ankle_roll": _N5020_PAIR,
}

# N·m/rad and N·m·s/rad. An ankle is damped half as much as in unitree_rl_gym, and as much as in Unitree's SDK
# (g1_ankle_swing_example.cpp): 2 N·m·s/rad, computed every 5 ms, turn a foot in the air (0.0076 kg·m²) back and forth.
_GAINS = {
    "hip_pitch": (100.0, 2.0),
    "hip_roll": (100.0, 2.0),
    "hip_yaw": (100.0, 2.0),
    "knee": (150.0, 4.0),
    "ankle_pitch": (40.0, 1.0),
    "ankle_roll": (40.0, 1.0),
}
_LIMITS = {  # rad, of the left leg
    "hip_pitch": (-2.5307, 2.8798),
    "hip_roll": (-0.5236, 2.9671),
    "hip_yaw": (-2.7576, 2.7576),
    "knee": (-0.087267, 2.8798),
    "ankle_pitch": (-0.87267, 0.5236),
    "ankle_roll": (-0.2618, 0.2618),
}


def _pose(hip_pitch: float, knee: float, ankle_pitch: float) -> tuple[float, ...]:
    """Angles of JOINTS, rad, with both legs alike."""
    return (hip_pitch, 0.0, 0.0, knee, ankle_pitch, 0.0) * len(SIDES)


DEFAULT_POSE = _pose(-0.1, 0.3, -0.2)
# No pose is safe by itself. Held in one, the robot is a pendulum of 32 kg upside down, and its ankles of 80 N·m/rad
# together are too soft to keep it up: told to stand, it topples within a second or two. So the safe pose folds the
# legs, as far as the soles can stay flat under the middle of its mass, in half a second: the pelvis comes down under
# the motors' control, and meets the ground at half the speed.
CROUCH_POSE = _pose(-2.23, 2.7, -0.85)
_FOLDING_S = 0.5


def foot_frame(side: str, leg: tuple[float, ...]) -> tuple[Array, Array]:
    """Rotation (3, 3) and position (3,) m in the base frame of a foot, the frame of its ankle's roll.

    leg (6,) rad: joint angles.
    """
    return frames(LEG, side, leg)[-1]


def foot_position(side: str, leg: tuple[float, ...]) -> Vector3:
    """Middle of a sole in the base frame, m, at a leg's joint angles (6,) rad."""
    rotation, position = foot_frame(side, leg)
    x, y, z = (float(value) for value in rotation @ SOLE_MIDDLE + position)
    return x, y, z


def base_height(pose: tuple[float, ...]) -> float:
    """Height of the base, m, at which a level robot in `pose` (12,) just touches the ground, with soles or hull."""
    feet = (foot_frame(side, pose[6 * i : 6 * i + 6]) for i, side in enumerate(SIDES))
    lowest = min(float((rotation @ ball + position)[2]) for rotation, position in feet for ball in SOLE)
    return max(HULL_RADIUS - HULL[0][2], SOLE_RADIUS - lowest)


STAND_HEIGHT = base_height(DEFAULT_POSE)  # m


def _kind(joint: str) -> str:
    """Its name without side and ending."""
    return joint.removesuffix("_joint").split("_", 1)[1]


def motor_of(joint: str) -> Motor:
    """The drive of a joint of JOINTS."""
    return MOTORS[_kind(joint)]


def _joint(name: str, default: float) -> JointSpec:
    kind, motor = _kind(name), motor_of(name)
    low, high = _LIMITS[kind]
    if name.startswith("right") and MIRROR_SIGN[kind] < 0:
        low, high = -high, -low
    stiffness, damping = _GAINS[kind]
    return JointSpec(
        stiffness=stiffness, damping=damping, position_min=low, position_max=high,
        velocity_limit=motor.no_load_speed, effort_limit=motor.effort_limit, default_position=default,
    )  # fmt: skip


_JOINT_SPECS = {name: _joint(name, default) for name, default in zip(JOINTS, DEFAULT_POSE, strict=True)}
_LOW = tuple(joint.position_min for joint in _JOINT_SPECS.values())
_HIGH = tuple(joint.position_max for joint in _JOINT_SPECS.values())

_PERIOD = 0.02  # s
# A target as far from the joint as its full torque takes makes no difference beyond; to go there takes one period.
_TARGET_RATE = tuple(joint.effort_limit / joint.stiffness / _PERIOD for joint in _JOINT_SPECS.values())
# All joints arrive together. Those that both poses leave where they are may be elsewhere: they come at 1 rad/s.
_TRANSITION_RATE = tuple(
    abs(crouch - stand) / _FOLDING_S or 1.0 for stand, crouch in zip(DEFAULT_POSE, CROUCH_POSE, strict=True)
)


def _model(looks: bool) -> str:
    from isthmus_sim.robots.biped.mjcf import biped_mjcf  # it is made from what stands here

    return biped_mjcf(scene=looks)


ROBOT = RobotDescription(
    name="biped",
    control_period_s=_PERIOD,
    # What an operator may ask for at all: legs of 0.7 m walk at up to 2 m/s; beyond is a mistake.
    signals=legged_signals(_JOINT_SPECS, _PERIOD, linear_velocity=(2.0, 1.0), yaw_rate=2.0),
    commands=(
        CommandSpec(
            name="joint_position_target", unit="rad", frame="joint", order=JOINTS, minimum=_LOW, maximum=_HIGH,
            max_rate=_TARGET_RATE, safe=CROUCH_POSE, standby=DEFAULT_POSE, transition_rate=_TRANSITION_RATE,
        ),
    ),
    joints=_JOINT_SPECS,
    actuators=(
        PDMotors(
            command="joint_position_target", joints=_JOINT_SPECS, motors={name: motor_of(name) for name in JOINTS}
        ),
    ),
    variations=(Load(body="base"), GroundFriction()),
    model=_model,
    base="base",
    legs={foot: JOINTS[6 * i : 6 * i + 6] for i, foot in enumerate(FEET)},
    mass=MASS,
    stances={"stand": Stance(joints=DEFAULT_POSE, height=STAND_HEIGHT)},
    mirror=MIRROR,
    looks=Looks(distance=2.6, radius=0.2, mark=0.03, on_ground=True),
)  # fmt: skip
