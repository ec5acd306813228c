"""The quadruped: Unitree Go2's published size, masses, limits and motors; its specification.

Sources: Unitree's robot description go2_description.urdf and its const.xacro (github.com/unitreerobotics/unitree_ros)
for geometry, masses, inertias, limits, rotor inertia, joint friction and damping; Unitree's actuator data of the Go2
in unitree_rl_lab for the torque-speed curve; Unitree's actuator SDK for the gear ratio of the motor, a GO-M8010-6.
"""

from __future__ import annotations

import math

from isthmus_sim.actuators import Motor, PDMotors
from isthmus_sim.description import Looks, RobotDescription, Stance, Vector3
from isthmus_sim.robots.inertia import Inertial
from isthmus_sim.robots.legged_signals import legged_signals
from isthmus_sim.specs import CommandSpec, JointSpec
from isthmus_sim.variations import GroundFriction, Load

GRAVITY = 9.81  # m/s²
LEGS = ("FL", "FR", "RL", "RR")  # front left, front right, rear left, rear right
FEET = LEGS
LINKS = ("hip", "thigh", "calf")
JOINTS = tuple(f"{leg}_{link}_joint" for leg in LEGS for link in LINKS)
FRONT = {"FL": 1.0, "FR": 1.0, "RL": -1.0, "RR": -1.0}  # sign of the leg's x in the base frame
LEFT = {"FL": 1.0, "FR": -1.0, "RL": 1.0, "RR": -1.0}  # sign of the leg's y

TRUNK_SIZE = (0.3762, 0.0935, 0.114)  # m, length, width, height of the box around it
HIP_X, HIP_Y = 0.1934, 0.0465  # m, of the hip joint in the base frame
HIP_LENGTH = 0.0955  # m, from hip to thigh joint, sideways
THIGH_LENGTH = CALF_LENGTH = 0.213  # m
FOOT_RADIUS = 0.022  # m
FOOT_X = -0.002  # m, of the foot's ball in the calf's frame, CALF_LENGTH below the knee


TRUNK = Inertial(
    mass=6.921, com=(0.021112, 0.0, -0.005366), inertia=(0.02448, 0.098077, 0.107, 0.00012166, 0.0014849, -3.12e-5)
)
# Of the front left leg.
HIP = Inertial(
    mass=0.678, com=(-0.0054, 0.00194, -0.000105), inertia=(0.00048, 0.000884, 0.000596, -3.01e-6, 1.11e-6, -1.42e-6)
)
THIGH = Inertial(
    mass=1.152, com=(-0.00374, -0.0223, -0.0327), inertia=(0.00584, 0.0058, 0.00103, 8.72e-5, -0.000289, 0.000808)
)
CALF = Inertial(
    mass=0.154, com=(0.00548, -0.000975, -0.115), inertia=(0.00108, 0.0011, 3.29e-5, 3.4e-7, 1.72e-5, 8.28e-6)
)
FOOT = Inertial(mass=0.04, com=(0.0, 0.0, -CALF_LENGTH), inertia=(9.6e-6, 9.6e-6, 9.6e-6, 0.0, 0.0, 0.0))
MASS = TRUNK.mass + 4 * (HIP.mass + THIGH.mass + CALF.mass + FOOT.mass)  # kg


_ROTOR_INERTIA = 0.000111842  # kg·m², before the gearbox
_GEAR = 6.33
_LINKAGE = 45.43 / 23.7  # of the knee: the same motor gives this much more torque there, and as much less speed
_CORNER = 13.5  # rad/s
MOTORS = {
    "hip": Motor(effort_limit=23.7, no_load_speed=30.1, corner_speed=_CORNER, armature=_ROTOR_INERTIA * _GEAR**2),
    "thigh": Motor(effort_limit=23.7, no_load_speed=30.1, corner_speed=_CORNER, armature=_ROTOR_INERTIA * _GEAR**2),
    "calf": Motor(
        effort_limit=45.43,
        no_load_speed=15.7,
        corner_speed=_CORNER / _LINKAGE,
        armature=_ROTOR_INERTIA * (_GEAR * _LINKAGE) ** 2,
    ),
}

STIFFNESS, DAMPING = 25.0, 0.5  # N·m/rad, N·m·s/rad: Unitree's examples of learned walking on the Go2
_LIMITS = {"hip": (-1.0472, 1.0472), "front_thigh": (-1.5708, 3.4907), "rear_thigh": (-0.5236, 4.5379),
           "calf": (-2.7227, -0.83776)}  # fmt: skip

# By leg: hip (outwards), thigh, calf; front legs, rear legs. With gains this soft the legs give way under the robot by
# 5 cm. The default spreads front and rear feet, so that it still stands level and does not topple with 3 kg on its
# back, weak motors or a shifted centre of mass. Prone, the belly carries the robot, with the feet close to where they
# stand later. Loaded is where the default comes to rest: simulated, standing up from prone, after 5 s.
_DEFAULT_LEGS = ((0.0, 0.8, -1.5), (0.0, 1.15, -1.5))
_PRONE_LEGS = ((0.6, 1.2, -2.65), (0.6, 1.8, -2.65))
_LOADED_LEGS = ((0.2, 0.858, -1.728), (0.166, 1.16, -1.657))


def _pose(legs: tuple[Vector3, Vector3]) -> tuple[float, ...]:
    front, rear = legs
    by_leg = {leg: front if FRONT[leg] > 0 else rear for leg in LEGS}
    return tuple(angle for leg, (hip, *rest) in by_leg.items() for angle in (LEFT[leg] * hip + 0.0, *rest))


DEFAULT_POSE = _pose(_DEFAULT_LEGS)  # rad, by JOINTS
PRONE_POSE = _pose(_PRONE_LEGS)
LOADED_POSE = _pose(_LOADED_LEGS)


def foot_position(leg: str, hip: float, thigh: float, calf: float) -> Vector3:
    """Centre of a foot's ball in the base frame, m, at joint angles in rad."""
    x = -THIGH_LENGTH * math.sin(thigh) - CALF_LENGTH * math.sin(thigh + calf) + FOOT_X * math.cos(thigh + calf)
    down = THIGH_LENGTH * math.cos(thigh) + CALF_LENGTH * math.cos(thigh + calf) + FOOT_X * math.sin(thigh + calf)
    side = LEFT[leg] * HIP_LENGTH
    y = side * math.cos(hip) + down * math.sin(hip)
    z = side * math.sin(hip) - down * math.cos(hip)
    return FRONT[leg] * HIP_X + x, LEFT[leg] * HIP_Y + y, z


def base_height(pose: tuple[float, ...]) -> float:
    """Height of the base, m, at which a level robot in `pose` (12,) just touches the ground, with feet or belly."""
    feet = (foot_position(leg, *pose[3 * i : 3 * i + 3]) for i, leg in enumerate(LEGS))
    return max(TRUNK_SIZE[2] / 2, FOOT_RADIUS - min(foot[2] for foot in feet))


STAND_HEIGHT = base_height(DEFAULT_POSE)  # m
PRONE_HEIGHT = base_height(PRONE_POSE)
LOADED_HEIGHT = base_height(LOADED_POSE)


def _joint(name: str, default: float) -> JointSpec:
    leg, link, _ = name.split("_")
    low, high = _LIMITS[link if link != "thigh" else "front_thigh" if FRONT[leg] > 0 else "rear_thigh"]
    motor = MOTORS[link]
    return JointSpec(
        stiffness=STIFFNESS, damping=DAMPING, position_min=low, position_max=high,
        velocity_limit=motor.no_load_speed, effort_limit=motor.effort_limit, default_position=default,
    )  # fmt: skip


_JOINT_SPECS = {name: _joint(name, default) for name, default in zip(JOINTS, DEFAULT_POSE, strict=True)}
_LOW = tuple(joint.position_min for joint in _JOINT_SPECS.values())
_HIGH = tuple(joint.position_max for joint in _JOINT_SPECS.values())

_PERIOD = 0.02  # s
# A target as far from the joint as its full torque takes makes no difference beyond; to go there takes one period.
_TARGET_RATE = MOTORS["hip"].effort_limit / STIFFNESS / _PERIOD
# From prone to standing and back, all joints arrive together; the fastest, the knees, at 1.5 rad/s.
_TRAVEL = tuple(abs(stand - prone) for stand, prone in zip(DEFAULT_POSE, PRONE_POSE, strict=True))
_TRANSITION_RATE = tuple(1.5 * travel / max(_TRAVEL) for travel in _TRAVEL)


def _motor(joint: str) -> Motor:
    return MOTORS[joint.split("_")[1]]


def _model(looks: bool) -> str:
    from isthmus_sim.robots.quadruped.mjcf import quadruped_mjcf  # it is made from what stands here

    return quadruped_mjcf(scene=looks)


def _mirrored(joint: str) -> tuple[str, float]:
    """Hips turn outwards on both sides, thighs and calves alike."""
    other = {"L": "R", "R": "L"}[joint[1]]
    return f"{joint[0]}{other}{joint[2:]}", -1.0 if "hip" in joint else 1.0


ROBOT = RobotDescription(
    name="quadruped",
    control_period_s=_PERIOD,
    # Unitree's own walking takes up to 3.8 m/s forward, 1 m/s sideways and 4 rad/s; beyond is a mistake.
    signals=legged_signals(_JOINT_SPECS, _PERIOD, linear_velocity=(3.8, 1.0), yaw_rate=4.0),
    commands=(
        CommandSpec(
            name="joint_position_target", unit="rad", frame="joint", order=JOINTS, minimum=_LOW, maximum=_HIGH,
            max_rate=(_TARGET_RATE,) * 12, safe=PRONE_POSE, standby=DEFAULT_POSE, transition_rate=_TRANSITION_RATE,
        ),
    ),
    joints=_JOINT_SPECS,
    actuators=(
        PDMotors(
            command="joint_position_target", joints=_JOINT_SPECS, motors={name: _motor(name) for name in JOINTS}
        ),
    ),
    variations=(Load(body="base"), GroundFriction()),
    model=_model,
    base="base",
    legs={leg: tuple(f"{leg}_{link}_joint" for link in LINKS) for leg in LEGS},
    mass=MASS,
    stances={
        "stand": Stance(joints=DEFAULT_POSE, height=STAND_HEIGHT),
        "prone": Stance(joints=PRONE_POSE, height=PRONE_HEIGHT),
        "loaded": Stance(joints=LOADED_POSE, height=LOADED_HEIGHT),
    },
    mirror={name: _mirrored(name) for name in JOINTS},
    looks=Looks(distance=1.6, radius=0.18, mark=0.03, on_ground=True),
)  # fmt: skip
