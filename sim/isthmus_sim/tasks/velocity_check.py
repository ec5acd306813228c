"""Whether a robot can be trained to walk, and by a configuration."""

from __future__ import annotations

from isthmus_sim.description import RobotDescription
from isthmus_sim.tasks import symmetry
from isthmus_sim.tasks.velocity_config import VelocityConfig
from isthmus_sim.terms.randomization import check_goal_range
from isthmus_sim.terms.rewards import TURNING_GOAL, VELOCITY_GOAL

COMMAND = "joint_position_target"
_READ = ("joint_position", "joint_velocity", "angular_velocity", "imu_orientation", VELOCITY_GOAL, TURNING_GOAL)


def check(robot: RobotDescription, c: VelocityConfig) -> None:
    """Raise ValueError where the robot lacks what a walk needs, or the configuration asks for what it cannot do."""
    _check_robot(robot)
    check_goal_range(robot, VELOCITY_GOAL, 0, "forward", c.forward)
    check_goal_range(robot, VELOCITY_GOAL, 1, "sideways", c.sideways)
    check_goal_range(robot, TURNING_GOAL, 0, "turning", c.turning)
    if c.command_s < robot.control_period_s:
        raise ValueError(f"command_s must be at least a control period, {robot.control_period_s} s")
    if not c.reward.course_s >= robot.control_period_s:  # not a number, neither
        raise ValueError(f"reward.course_s must be at least a control period, {robot.control_period_s} s")
    for name in ("width", "course_width"):
        if not getattr(c.reward, name) > 0.0:
            raise ValueError(f"reward.{name} must be positive, got {getattr(c.reward, name)}")
    if not 0.0 <= c.actuation_delay_s[0] <= c.actuation_delay_s[1] <= robot.control_period_s:
        raise ValueError(
            f"actuation_delay_s: {c.actuation_delay_s} must rise and lie within a control period, "
            f"[0, {robot.control_period_s:g}] s; longer delays are command_delay_steps"
        )


def _check_robot(robot: RobotDescription) -> None:
    signals, commands = ([spec.name for spec in specs] for specs in (robot.signals, robot.commands))
    lacking = [name for name in ("joints", "legs", "base", "mass") if not getattr(robot, name)]
    lacking += [] if "stand" in robot.stances else ['the stance "stand"']
    lacking += [f"the signal {name!r}" for name in _READ if name not in signals]
    lacking += [] if COMMAND in commands else [f"the command {COMMAND!r}"]
    if lacking:
        raise ValueError(
            f"{robot.name} cannot be trained to walk: its description lacks {', '.join(lacking)}; its signals: "
            f"{', '.join(signals) or 'none'}; its commands: {', '.join(commands) or 'none'}"
        )
    in_legs = [joint for chain in robot.legs.values() for joint in chain]
    everything = dict.fromkeys((*robot.joints, *in_legs))
    wrong = [joint for joint in everything if joint not in robot.joints or in_legs.count(joint) != 1]
    if wrong:
        raise ValueError(
            f"the legs of {robot.name} must have each of its joints once, since a walk moves only legs; correct `legs` "
            f"or `joints` where it is not so: {', '.join(wrong)}"
        )
    symmetry.check_mirror(robot)
