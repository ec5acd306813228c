"""What velocity tracking is configured by: its gait, rewards, commands, randomisation, noise and ground."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from isthmus_sim.scenes.terrain import TerrainConfig
from isthmus_sim.sensors import SensorModel, SignalNoise
from isthmus_sim.terms.randomization import Range


@dataclass(frozen=True, kw_only=True)
class GaitConfig:
    """The clock of the gait, and what it does by itself: it steps in place (as in Iscen et al. 2018, "Policies
    Modulating Trajectory Generators"); the action makes a walk of it."""

    frequency_hz: float = 2.5
    """Cycles per second."""
    phases: tuple[float, ...] = (0.0, 0.5, 0.5, 0.0)
    """When in the cycle each foot swings, cycles, in the order of the robot's legs."""
    lift: float = 0.35
    """How far the clock alone bends the legs in swing, rad."""
    press: float = 0.3
    """How far it stretches them in stance, rad: what soft gains give way by under the robot's weight."""
    joints: dict[str, float] = field(default_factory=lambda: {"thigh": 1.0, "calf": -2.0})
    """Part of a joint's name -> its share of that, so that the foot goes straight up."""
    rests: bool = True
    """Whether all feet stand while no speed is asked for. Otherwise the robot steps in place."""


@dataclass(frozen=True, kw_only=True)
class VelocityReward:
    """Weights of the terms, per control step, and the constants in them."""

    velocity: float = 3.0
    """exp(-‖v_xy - command‖ / width), in the body frame."""
    turning: float = 2.0
    """exp(-|ω_z - command| / width)."""
    width: float = 0.4
    """m/s and rad/s."""
    course: float = 0.0
    """exp(-‖v_xy - command‖ / course_width) + exp(-|ω_z - command| / course_width) of the errors' averages, growing
    with the curriculum. A gait sways by more than it drifts, so the two terms above hardly feel a drift, which leads a
    robot astray; from the start on, this term keeps it from learning to walk."""
    course_width: float = 0.1
    """m/s and rad/s."""
    course_s: float = 1.0
    """Time constant of the averages, s: some cycles of the gait."""
    gait: float = 1.0
    """Share of feet that stand when the clock says so and swing when it says so; standing still, share that stand."""
    clearance: float = 20.0
    """Squared lack of height of the feet in swing, 1/m², below `swing_height`."""
    swing_height: float = 0.07
    """m, of a foot's middle above the ground at the top of its swing."""
    level: float = 2.0
    """Squared tilt (horizontal part of the gravity direction), where the ground is flat."""
    height: float = 20.0
    """Squared error of the base's height over the ground, 1/m²."""
    crouch: float = 0.035
    """How much lower the base should be than in the stance "stand", m."""
    bounce: float = 0.5
    """Squared vertical velocity, s²/m², and a tenth of the squared roll and pitch rates."""
    slip: float = 0.1
    """Squared horizontal velocity of feet that stand, s²/m²."""
    effort: float = 1e-4
    """Squared torque, 1/(N·m)²."""
    power: float = 1e-3
    """Mechanical power that the motors give, 1/W."""
    smoothness: float = 0.02
    """Squared change of the targets from one step to the next, 1/rad²."""
    posture: float = 0.1
    """Squared distance of the joints from the default pose, 1/rad²."""
    posture_of: dict[str, float] = field(default_factory=lambda: {"hip": 5.0})
    """Part of a joint's name -> how many times it counts in `posture`; joints without one count once."""


def _noise() -> dict[str, SignalNoise]:
    # Encoders: 0.01 rad of noise, 0.02 rad of calibration error per episode; velocities are differences of them. The
    # IMU's gyro 0.05 rad/s with vibration, its attitude estimate 0.02 rad off and 0.02 rad biased.
    return {
        "joint_position": SignalNoise(noise=0.01, bias=0.02),
        "joint_velocity": SignalNoise(noise=0.5),
        "angular_velocity": SignalNoise(noise=0.05, bias=0.02),
        "imu_orientation": SignalNoise(noise=0.01, bias=0.02),
    }


@dataclass(frozen=True, kw_only=True)
class VelocityConfig:
    """Velocities m/s and rad/s, times s, angles rad. Ranges are uniform, per episode, unless said otherwise. The
    defaults are the quadruped's."""

    episode_steps: int = 1000
    """Control steps of an episode."""
    history: int = 3
    """Control steps that the policy remembers."""
    forward: Range = (-0.8, 1.0)
    sideways: Range = (-0.4, 0.4)
    turning: Range = (-1.0, 1.0)
    standing_share: float = 0.1
    """Share of commands that are to stand still."""
    command_s: float = 5.0
    """A new command is drawn this often."""
    gait: GaitConfig = field(default_factory=GaitConfig)
    action_scale: float = 0.7
    """Joint target per unit of action, rad, around the default pose."""
    push_s: float = 5.0
    """Time between pushes; 0 for none."""
    push_length_s: float = 0.1
    push_speed: float = 0.6
    """Change of velocity that a push makes at most, m/s, in any horizontal direction."""
    friction: Range = (0.4, 1.25)
    payload: Range = (-1.0, 3.0)
    """kg on the base."""
    com_offset: float = 0.04
    """Shift of the base's centre of mass, each axis, ±m."""
    strength: Range = (0.85, 1.1)
    """Share of the torque that arrives, per joint."""
    gains: Range = (0.9, 1.1)
    """Factors of stiffness and damping, per joint."""
    actuation_delay_s: Range = (0.0, 0.015)
    """Time until a target acts, on top of `command_delay_steps`."""
    command_delay_steps: tuple[int, int] = (0, 1)
    start_speed: float = 0.3
    """Largest speed at the start along each axis, m/s, and turning rate about each, rad/s."""
    tilt_limit: float = math.radians(60)
    lowest: float = 0.36
    """An episode has failed when the base is lower over the ground than this share of its height in the stance "stand",
    or tilts further than that."""
    terrain: TerrainConfig | None = None
    """Rough ground; None for a flat one."""
    reward: VelocityReward = field(default_factory=VelocityReward)
    sensors: dict[str, SensorModel] = field(default_factory=dict)
    noise: dict[str, SignalNoise] = field(default_factory=_noise)

    def __post_init__(self) -> None:
        if self.history < 1:
            raise ValueError(f"history must be at least 1 control step, got {self.history}")


def rough() -> VelocityConfig:
    """Bumps, slopes, steps and waves, harder as a world does better."""
    reward = VelocityReward(level=0.5, height=5.0, clearance=30.0, swing_height=0.1)
    return VelocityConfig(terrain=TerrainConfig(), reward=reward, lowest=0.3)


def two_legs() -> VelocityConfig:
    """A biped of a child's size, no faster than it can be pushed and still stand.

    Told to stand it steps in place, as policies for the real robot do (unitree_rl_gym). With all feet on the ground it
    has only its ankles to catch a push with: of policies that stood still, nearly all falls were those of standing.
    """
    reward = VelocityReward(
        width=0.4,
        course=3.0,
        gait=1.0,
        clearance=20.0,
        swing_height=0.08,
        level=2.0,
        height=10.0,
        bounce=0.2,
        effort=2e-5,
        power=3e-4,
        smoothness=0.05,
        posture=0.1,
        posture_of={"roll": 5.0, "yaw": 5.0},
    )
    gait = GaitConfig(
        frequency_hz=2.0, phases=(0.0, 0.5), lift=0.35, press=0.0,
        joints={"hip_pitch": -1.0, "knee": 2.0, "ankle_pitch": -1.0}, rests=False,
    )  # fmt: skip
    return VelocityConfig(
        history=8, forward=(-0.4, 0.8), sideways=(-0.3, 0.3), turning=(-0.8, 0.8), gait=gait, action_scale=0.3,
        tilt_limit=0.8, lowest=0.64, reward=reward,
    )  # fmt: skip
