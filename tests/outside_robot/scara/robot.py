"""The arm: two links of 20 cm that turn about vertical axes, driven by PD-controlled DC motors."""

from __future__ import annotations

from isthmus_sim.actuators import Motor, PDMotors
from isthmus_sim.description import Looks, RobotDescription, Stance
from isthmus_sim.specs import CommandSpec, JointSpec, SignalSpec

JOINTS = ("shoulder", "elbow")
LIMIT = 2.0  # rad, both ways
SPEED = 6.0  # rad/s, of the motors without load
_PERIOD = 0.02  # s


def mjcf(looks: bool) -> str:
    """The arm's model; with `looks` also a floor to stand on."""
    floor = '<geom type="plane" size="1 1 0.1" pos="0 0 -0.1" rgba="0.85 0.86 0.88 1"/>' if looks else ""
    joint = f'type="hinge" axis="0 0 1" range="-{LIMIT} {LIMIT}" armature="0.01" damping="0.05"'
    return f"""
<mujoco model="scara">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="0.005" integrator="implicitfast"/>
  <visual><global offwidth="960" offheight="720"/></visual>
  <worldbody>
    <light pos="0 0 2"/>{floor}
    <geom type="cylinder" size="0.04 0.05" pos="0 0 -0.05" rgba="0.2 0.2 0.22 1" contype="0" conaffinity="0"/>
    <body name="upper">
      <joint name="shoulder" {joint}/>
      <geom type="capsule" fromto="0 0 0 0.2 0 0" size="0.02" mass="0.6" rgba="0.9 0.5 0.1 1" contype="0"/>
      <body name="fore" pos="0.2 0 0">
        <joint name="elbow" {joint}/>
        <geom type="capsule" fromto="0 0 0 0.2 0 0" size="0.015" mass="0.3" rgba="0.95 0.75 0.3 1" contype="0"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor name="shoulder" joint="shoulder"/><motor name="elbow" joint="elbow"/></actuator>
</mujoco>"""


def _signal(name: str, unit: str, bound: float, jump: float, max_age_s: float | None) -> SignalSpec:
    return SignalSpec(
        name=name, unit=unit, frame="joint", order=JOINTS, minimum=(-bound,) * 2, maximum=(bound,) * 2,
        max_jump=(jump,) * 2, max_age_s=max_age_s, sensor="joint_states" if max_age_s else "",
    )  # fmt: skip


_JOINT = JointSpec(
    stiffness=8.0, damping=0.4, position_min=-LIMIT, position_max=LIMIT, velocity_limit=SPEED, effort_limit=3.0,
    default_position=0.0,
)  # fmt: skip
_MOTOR = Motor(effort_limit=3.0, no_load_speed=SPEED, corner_speed=3.0, armature=0.01, friction=0.02)

SCARA = RobotDescription(
    name="scara",
    control_period_s=_PERIOD,
    signals=(
        _signal("joint_position", "rad", LIMIT + 0.2, 4 * SPEED * _PERIOD, 0.1),
        _signal("joint_velocity", "rad/s", 3 * SPEED, 6 * SPEED, 0.1),
        _signal("joint_position_goal", "rad", LIMIT, 2 * LIMIT, None),
    ),
    commands=(
        CommandSpec(
            name="joint_position_target", unit="rad", frame="joint", order=JOINTS, minimum=(-LIMIT,) * 2,
            maximum=(LIMIT,) * 2, max_rate=(SPEED,) * 2, safe=(0.0,) * 2, standby=(0.0,) * 2,
            transition_rate=(1.0,) * 2,
        ),
    ),
    joints=dict.fromkeys(JOINTS, _JOINT),
    actuators=(
        PDMotors(
            command="joint_position_target", joints=dict.fromkeys(JOINTS, _JOINT), motors=dict.fromkeys(JOINTS, _MOTOR)
        ),
    ),
    model=mjcf,
    stances={"rest": Stance(joints=(0.0, 0.0))},
    looks=Looks(distance=1.1, elevation=-55.0),
)  # fmt: skip
