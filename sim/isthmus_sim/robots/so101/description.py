"""SO-101, a desktop arm of six servos: published size, masses, limits and servos; its specification.

Sources: TheRobotStudio's robot description Simulation/SO101/so101_new_calib.xml (github.com/TheRobotStudio/SO-ARM100)
for lengths, masses, inertias, ranges, rotor inertia and dry friction, and MuJoCo Menagerie's robotstudio_so101 for
jaws and the camera at the wrist. Feetech's data of the servo, an STS3215 at 12 V with a gear of 1:345: 30 kg·cm at
stall, 45 rpm without load, 4096 steps a turn. Its stiffness is not published; a test of it (robonine.com, issue 134 of
SO-ARM100) found it off by 1.8 to 2.6°, of which 0.9° are backlash, under 1.5 kg at 10 cm and 45°: 35 to 65 N·m/rad.

Frames. Here every link's frame is that of the world when all joints are at zero (x forward, y left, z up): upper arm
up, forearm and gripper forward. Zero and sign of the joints are the published ones, "new calibration": the middle of
each range, except that the jaws lie level at zero of the wrist's roll; there the published model is turned by 2.8°.
Joints lie in the middle plane of the arm: shifts along their own axes change nothing, and are left out.
"""

from __future__ import annotations

import math

from isthmus_sim.actuators import PositionServos
from isthmus_sim.description import Looks, RobotDescription, Stance, Vector3, with_camera
from isthmus_sim.robots.inertia import Inertial
from isthmus_sim.specs import CommandSpec, JointSpec, SignalSpec

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
PERIOD = 1 / 30  # s

# From one joint to the next, m; the first in the frame of the base, which stands on the table.
OFFSET: dict[str, Vector3] = {
    "shoulder_pan": (0.0388, 0.0, 0.0624),
    "shoulder_lift": (0.0304, 0.0, 0.0542),
    "elbow_flex": (0.0280, 0.0, 0.1126),
    "wrist_flex": (0.1349, 0.0, 0.0052),
    "wrist_roll": (0.0611, 0.0, 0.0),
    "gripper": (0.0234, 0.0, 0.0202),
}
AXIS: dict[str, Vector3] = {
    "shoulder_pan": (0.0, 0.0, -1.0),
    "shoulder_lift": (0.0, 1.0, 0.0),
    "elbow_flex": (0.0, 1.0, 0.0),
    "wrist_flex": (0.0, 1.0, 0.0),
    "wrist_roll": (-1.0, 0.0, 0.0),
    "gripper": (0.0, -1.0, 0.0),
}
RANGE: dict[str, tuple[float, float]] = {  # rad
    "shoulder_pan": (-1.9199, 1.9199),
    "shoulder_lift": (-1.7453, 1.7453),
    "elbow_flex": (-1.69, 1.69),
    "wrist_flex": (-1.6581, 1.6581),
    "wrist_roll": (-2.7438, 2.7438),
    "gripper": (-0.1745, 1.7453),
}
BASE = Inertial(mass=0.147, com=(0.0137, 0.0, 0.0335), inertia=(1.147e-4, 1.361e-4, 1.304e-4, -4.6e-7, 4.97e-6, 9.8e-8))
LINKS: dict[str, Inertial] = {  # that the joint moves
    "shoulder_pan": Inertial(
        mass=0.1, com=(0.0308, 0.0, 0.0253), inertia=(8.38e-5, 8.1e-5, 2.4e-5, -7.6e-8, -1.16e-6, -1.55e-7)
    ),
    "shoulder_lift": Inertial(
        mass=0.103, com=(0.0084, 0.0001, 0.0898), inertia=(1.473e-4, 1.425e-4, 4.08e-5, -9e-9, -1.98e-5, 4e-8)
    ),
    "elbow_flex": Inertial(
        mass=0.104, com=(0.0981, 0.0, 0.0032), inertia=(2.87e-5, 1.453e-4, 1.598e-4, -1.26e-6, -7.41e-6, -4.9e-8)
    ),
    "wrist_flex": Inertial(
        mass=0.079, com=(0.0386, 0.0098, 0.0001), inertia=(2.54e-5, 2.1e-5, 3.68e-5, -3.64e-6, 1.8e-8, 5.3e-8)
    ),
    "wrist_roll": Inertial(
        mass=0.087, com=(0.0252, 0.0, 0.0002), inertia=(3.45e-5, 4.34e-5, 2.75e-5, 5.2e-8, 5.74e-6, -3.4e-7)
    ),
    "gripper": Inertial(
        mass=0.012, com=(0.03, -0.0005, -0.0016), inertia=(1.89e-6, 5.29e-6, 6.61e-6, -1.1e-7, 3.2e-7, 6e-9)
    ),
}

# The jaws, in the frame of the wrist's roll. Their faces are flat here, and parallel where they hold GRIP_WIDTH.
JAW_LENGTH = 0.1041  # m, from the roll's frame to the ends of the jaws
FIXED_FACE = -0.0081  # m, z of the fixed jaw's inner face
CLOSED_GAP = 0.0163  # m, between the ends of the jaws at zero
TIP_X = 0.0981  # m, of the tool centre point
GRIP_WIDTH = 0.03  # m
TIP_Z = FIXED_FACE + 0.5 * GRIP_WIDTH

STALL_TORQUE = 30 * 0.0980665  # N·m
NO_LOAD_SPEED = 45 * 2 * math.pi / 60  # rad/s
STIFFNESS = 50.0  # N·m/rad, between those that were found
DAMPING = 2.731  # N·m·s/rad, published; with this stiffness it does not overshoot
BACK_EMF = STALL_TORQUE / NO_LOAD_SPEED  # N·m·s/rad: full torque falls with speed to nothing; published: 0.60
ARMATURE = 0.028  # kg·m²
FRICTION = 0.052  # N·m
ENCODER_STEP = 2 * math.pi / 4096  # rad

HOME: tuple[float, ...] = (0.0, -0.8, 0.53, 1.47, 0.0, 0.5)
"""rad: the gripper open, 11 cm above the table, pointing forward and down."""
FOLDED: tuple[float, ...] = (0.0, -1.7, 1.6, 1.0, 0.0, 0.0)
"""rad: low and close to the base, where little torque holds it."""

_LOW, _HIGH = (tuple(RANGE[name][side] for name in JOINTS) for side in (0, 1))
_AGE = 0.2  # s
_MARGIN = 0.1  # rad that a jolt presses a joint past its stop
_SPEED = 2 * NO_LOAD_SPEED  # a hand turns a joint faster than its servo does


def _joint(name: str, default: float) -> JointSpec:
    low, high = RANGE[name]
    return JointSpec(
        stiffness=STIFFNESS, damping=DAMPING, position_min=low, position_max=high, velocity_limit=NO_LOAD_SPEED,
        effort_limit=STALL_TORQUE, default_position=default,
    )  # fmt: skip


TIP_CHAIN: dict[str, object] = {
    "links": [{"joint": name, "offset": OFFSET[name], "axis": AXIS[name]} for name in JOINTS[:-1]],
    "point": (TIP_X, 0.0, TIP_Z),
}
"""The way from the base to the tool centre point, as the safety chain knows it: it computes where targets put it."""
SAFETY = {
    "tools": [
        TIP_CHAIN | {
            "name": "gripper_tip", "command": "joint_position_target", "approach_rate": 15.0,
            "half_spaces": [{"normal": (0.0, 0.0, 1.0), "offset": -0.01}],
        },
    ],
}  # fmt: skip
"""The tool's target stays above the table, but for a centimetre: servos of this stiffness give so much under the arm's
weight and when they press something down."""


def _model(looks: bool) -> str:
    from isthmus_sim.robots.so101.mjcf import so101_mjcf  # it is made from what stands here

    return so101_mjcf()


ROBOT = RobotDescription(
    name="so101",
    control_period_s=PERIOD,
    signals=(
        SignalSpec(
            name="joint_position", unit="rad", frame="joint", order=JOINTS,
            minimum=tuple(low - _MARGIN for low in _LOW), maximum=tuple(high + _MARGIN for high in _HIGH),
            max_jump=(_SPEED * PERIOD,) * 6, max_age_s=_AGE, sensor="joint_states",
        ),
        SignalSpec(
            name="joint_velocity", unit="rad/s", frame="joint", order=JOINTS, minimum=(-_SPEED,) * 6,
            maximum=(_SPEED,) * 6, max_jump=(2 * _SPEED,) * 6, max_age_s=_AGE, sensor="joint_states",
        ),
    ),
    commands=(
        CommandSpec(
            name="joint_position_target", unit="rad", frame="joint", order=JOINTS, minimum=_LOW, maximum=_HIGH,
            max_rate=(NO_LOAD_SPEED,) * 6, safe=FOLDED, standby=HOME, transition_rate=(0.6,) * 6,
        ),
    ),
    joints={name: _joint(name, default) for name, default in zip(JOINTS, HOME, strict=True)},
    actuators=(PositionServos(command="joint_position_target", actuators=JOINTS),),
    model=_model,
    stances={"home": Stance(joints=HOME), "folded": Stance(joints=FOLDED)},
    safety=SAFETY,
    looks=Looks(distance=0.75, azimuth=150.0, elevation=-28.0, turn=0.0),
)  # fmt: skip


CAMERA_ROBOT = with_camera(ROBOT, "so101_camera", "scene", (64, 64))
# With both cameras of the desk, as its demonstrations are recorded.
CAMERAS_ROBOT = with_camera(with_camera(ROBOT, "so101_scene", "scene", (96, 96)), "so101_cameras", "wrist", (96, 96))


ENDS = (JAW_LENGTH - OFFSET["gripper"][0], OFFSET["gripper"][2] - FIXED_FACE - CLOSED_GAP)
"""m: the end of the moving jaw is so far in front of its hinge and below it, at zero."""


def grip_angle(gap: float) -> float:
    """Angle of the gripper's joint, rad, at which the ends of the jaws are `gap` m apart.

    At an angle a, gap = height of the hinge over the fixed face - below·cos a + in front·sin a.
    """
    along, below = ENDS
    return math.atan2(below, along) + math.asin((gap - below - CLOSED_GAP) / math.hypot(along, below))
