"""How a peg in a hole is demonstrated: by a script that sees what the robot does, or by a person who feels nothing."""

from __future__ import annotations

import mujoco

from isthmus_datasets.teleop.operators.teleop_controller import TeleopController
from isthmus_datasets.teleop.stand import Stand
from isthmus_policies.demonstrate.demonstration import Demonstration, ShownRobot
from isthmus_policies.demonstrate.script_operator import PolicyScript
from isthmus_policies.demonstrate.tasks.peg_script import PegScript
from isthmus_sim.robots.so101.description import JOINTS, NO_LOAD_SPEED
from isthmus_sim.robots.so101_peg.mjcf import PEG_TIP, so101_peg_mjcf
from isthmus_sim.tasks import make_task


def _script(noise: float, skill: float) -> PolicyScript:
    task = make_task("peg")
    return PolicyScript(PegScript(task.config), task, noise=noise, skill=skill, stray=0.02)


def _guide(robot: ShownRobot, rate_hz: int) -> TeleopController:
    """Moves the peg's end as fast as the task's actions do, and on a shorter leash, which bounds how hard it presses:
    with the task's own a person who presses in a corner of the block came to 20 N. The jaws stay as they are."""
    # Inverse kinematics is imported when it is asked for: not everybody has installed it.
    from isthmus_datasets.teleop.operators.arm_guide import ArmGuide

    config = make_task("peg").config
    return ArmGuide(
        mujoco.MjModel.from_xml_string(so101_peg_mjcf()),  # pyright: ignore[reportAttributeAccessIssue]
        robot.features,
        joints=JOINTS[:-1],
        gripper_joint=JOINTS[-1],
        site=PEG_TIP,
        rate_hz=rate_hz,
        speeds=dict.fromkeys(JOINTS, NO_LOAD_SPEED),
        speed_m_s=config.step * rate_hz,
        leash_m=0.75 * config.leash,
    )


DEMONSTRATION = Demonstration(
    words="bring the peg into the hole",
    script=_script,
    noise=0.001,
    policy=lambda task: PegScript(task.config),
    view=Stand(eye=(-0.12, -0.22, 0.26), look_at=(0.19, 0.0, 0.03), fov_rad=0.6, target_m=0.05),
    guide=_guide,
    keys={
        "Mouse": "drag arrows", "W A S D": "or arrows: away, left, towards, right", "E Q": "up, down",
        "U O": "roll", "I K": "tip",
    },
)  # fmt: skip
