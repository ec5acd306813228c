"""A planar arm of two links of 0.5 m, for what the safety chain does with a tool; 50 Hz."""

from __future__ import annotations

from typing import Any

from isthmus_deploy.contracts.limits import Command, Limits, Signal
from isthmus_deploy.contracts.robot_interface import Joint
from isthmus_deploy.contracts.safety_data import CommandSafety, HalfSpace, Link, Safety, Tool

PERIOD_S = 0.02
JOINTS = ("shoulder", "elbow")
FORWARD = Link(joint="shoulder", offset=(0.0, 0.0, 0.0), axis=(0.0, 0.0, 1.0))
ELBOW = Link(joint="elbow", offset=(0.5, 0.0, 0.0), axis=(0.0, 0.0, 1.0))
WALL = HalfSpace(normal=(0.0, 1.0, 0.0), offset=-0.2)
"""The arm stays where y >= -0.2 m."""

_READING = {"shape": (2,), "frame": "joint", "order": JOINTS, "max_age_s": 0.1}


def arm_limits(*, tool: Any = None, **held: Any) -> Limits:
    """Limits of the arm: ±2 rad, 5 rad/s. `held`: how its command may move; `tool`: fields of what its end is kept to,
    None for no tool."""
    tools = () if tool is None else (arm_tool(**tool),)
    commands = (CommandSafety(command="target", **held),) if held else ()
    return Limits(
        control_period_s=PERIOD_S,
        signals=(
            Signal(name="angle", unit="rad", minimum=(-3.0,) * 2, maximum=(3.0,) * 2, max_jump=(1.0,) * 2, **_READING),
            Signal(
                name="speed", unit="rad/s", minimum=(-9.0,) * 2, maximum=(9.0,) * 2, max_jump=(9.0,) * 2, **_READING
            ),
        ),
        commands=(
            Command(
                name="target", shape=(2,), unit="rad", frame="joint", order=JOINTS, minimum=(-2.0,) * 2,
                maximum=(2.0,) * 2, max_rate=(5.0,) * 2, safe=(0.0,) * 2, standby=(0.5, 0.5),
            ),
        ),
        joints=dict.fromkeys(
            JOINTS,
            Joint(
                stiffness=20.0, damping=2.0, position_min=-2.0, position_max=2.0, velocity_limit=5.0, effort_limit=6.0,
                default_position=0.0,
            ),
        ),
        safety=Safety(commands=commands, tools=tools) if commands or tools else None,
    )  # fmt: skip


def arm_tool(**what: Any) -> Tool:
    """The arm's end, kept from the wall unless something else is said."""
    known = {"links": (FORWARD, ELBOW), "half_spaces": (WALL,), "approach_rate": 10.0} | what
    return Tool(name="end", command="target", point=(0.5, 0.0, 0.0), **known)
