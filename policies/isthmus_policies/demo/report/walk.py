"""The quadruped's walk: stand up, a square, sideways, sit down."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_deploy.ros.missions.walk_log import velocity
from isthmus_deploy.ros.missions.walk_plan import WalkPlan
from isthmus_policies.demo.report import parts, walk_plots
from isthmus_policies.demo.report.html import Fact, key, section, table
from isthmus_policies.demo.report.kind import Kind
from isthmus_policies.demo.report.plots import Vector, running_mean
from isthmus_policies.demo.report.record import Demo
from isthmus_policies.evaluation.video import Text, velocities
from isthmus_sim.robots.quadruped.description import FEET, FOOT_RADIUS, JOINTS, foot_position

_CYCLE_S = 0.45  # of the gait, about: over one, a body's swaying cancels
_SHOWN_S = 4.0  # of gait and joints
_LIFTED_M = 0.012  # a foot higher than this above the ground swings
_LEG = FEET[0]


def _facts(demo: Demo) -> list[Fact]:
    return [_following(demo), _end(demo)]


def _following(demo: Demo) -> Fact:
    legs, plan = demo.facts["following"], demo.facts["plan"]
    label = "Asked velocity missed by"
    if not legs:
        return Fact(label=label, value="not walked", detail="the walk ended before")
    off, turning = (
        sum(leg[name] for leg in legs.values()) / len(legs) for name in ("error_mps", "turning_error_radps")
    )
    worst = max(legs, key=lambda leg: legs[leg]["error_mps"])
    detail = (
        f"and {turning:.2f} rad/s on average, asked for up to {plan['speed']:g} m/s and {plan['turn_rate']:g} rad/s; "
        f"worst leg {legs[worst]['error_mps']:.2f} m/s ({worst})"
    )
    return Fact(label=label, value=f"{off:.2f} m/s", detail=detail)


def _end(demo: Demo) -> Fact:
    end, label = demo.facts["end"], "End of the walk missed by"
    if not end:
        return Fact(label=label, value="not reached", detail="the walk ended before")
    way = f"{_way(demo.facts['plan']):.1f} m, steered only in the corners"
    return Fact(
        label=label, value=f"{100 * end['away_m']:.0f} cm", detail=f"after {way}; and by {abs(end['heading_deg']):.0f}°"
    )


def _way(plan: dict[str, float]) -> float:
    return 4 * plan["side_m"] + plan["sideways_m"]


def _video(demo: Demo) -> str:
    keys = (
        key("flown", "walked")
        + key("reference", "asked way, and a ball where the robot should be")
        + "A square of the floor is 50 cm wide."
    )
    return parts.video(
        demo,
        title="The walk",
        text="The recorded walk, drawn afterwards. The policy was told nothing of this body, its load, this floor.",
        body_title="The body it walked in",
        body=parts.body_table(demo, _body(demo.robot["parameters"])) if demo.robot else "",
        keys=keys,
    )


def _body(hidden: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("load on the trunk", f"{hidden['payload']:+.1f} kg"),
        ("centre of mass off by", f"{1e3 * math.hypot(*hidden['com_offset']):.0f} mm"),
        ("friction of the floor", f"{hidden['friction']:.2f}"),
        ("torque that arrives", f"{100 * min(hidden['strength']):.0f} … {100 * max(hidden['strength']):.0f} %"),
        ("commands act late by", f"{1e3 * hidden['command_delay_s']:.0f} ms"),
        ("IMU's heading off by", f"{math.degrees(hidden['heading']):+.0f}°"),
    ]


def _path(demo: Demo) -> str:
    a, text = demo.arrays, (
        "Where the robot was, against where its orders lead. Sides are walked by time alone; the operator looks at the "
        "robot only to end its turns. The policy knows neither."
    )  # fmt: skip
    walked = a["time"] >= 0.0
    plot = walk_plots.path(
        a["position"][walked, :2], a["reference_position"][walked, :2], _heading(a["orientation"]),
        np.unwrap(a["reference_heading"][:, 0]), a["time"], demo.phases,
    )  # fmt: skip
    return section("Path", text, plot)


def _heading(orientation: Vector) -> Vector:
    """Heading (t,) rad without jumps, of orientations (t, 4) wxyz."""
    w, x, y, z = orientation.T
    return np.unwrap(np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)))


def _velocity(demo: Demo) -> str:
    legs = demo.facts["following"]
    text = (
        "Asked and true velocity in the body. The thin line is each moment, the thick one a mean over a cycle of the "
        "gait. The table leaves out the first 0.5 s of each leg."
    )
    time, asked, true = demo.arrays["time"], demo.arrays["asked_velocity"], velocity(demo.arrays)
    plot = walk_plots.velocity(time, true, asked, _smoothed(demo), demo.phases)
    rows = [
        (escape(name), *(f"{leg[column]:+.2f}" for column in ("forward", "left", "turning")),
         *(f"{leg[column]:.2f}" for column in ("error_mps", "turning_error_radps")))
        for name, leg in legs.items()
    ]  # fmt: skip
    head = ("leg", "forward, m/s", "left, m/s", "turning, rad/s", "off by, m/s", "off by, rad/s")
    return section("Velocity", text, plot, table(head, rows, numbers=(1, 2, 3, 4, 5)))


def _smoothed(demo: Demo) -> Vector:
    """True velocity (t, 3), each moment the mean over a cycle of the gait."""
    width = round(_CYCLE_S / demo.contract.control_period_s)
    return np.stack([running_mean(column, width) for column in velocity(demo.arrays).T], axis=1)


def _posture(demo: Demo) -> str:
    text = "From lying over standing up and walking to lying again. Dashed: where the robot counts as fallen."
    a, limits = demo.arrays, demo.facts["limits"]
    fallen = (limits["height_m"], math.radians(limits["tilt_deg"]))
    _, x, y, _ = a["orientation"].T
    tilt = np.arccos(np.clip(1.0 - 2.0 * (x * x + y * y), -1.0, 1.0))
    return section("Body", text, walk_plots.body(a["time"], a["position"][:, 2], tilt, demo.phases, fallen))


def _gait(demo: Demo) -> str:
    text = (
        "The first steps. A foot stands where the recorded joint angles put it on the ground. Targets are what the "
        f"policy sends the motors of one leg ({_LEG}); by the distance from target to angle they carry the robot."
    )
    start = next((start for name, start, _ in demo.phases if name == "side 1"), math.inf)
    time = demo.arrays["time"]
    shown = (time >= start) & (time < start + _SHOWN_S)
    if shown.sum() < 2:
        return section("Gait", "The walk ended before the first step.")
    leg = [i for i, name in enumerate(JOINTS) if name.startswith(_LEG)]
    targets = demo.arrays["command/joint_position_target"]
    sent_s = demo.arrays["command_time/joint_position_target"]
    sent = (sent_s >= start) & (sent_s < start + _SHOWN_S)
    return section(
        "Gait",
        text,
        walk_plots.gait(time[shown], standing(demo)[shown], FEET),
        walk_plots.joints(
            time[shown],
            _joint_angles(demo)[shown][:, leg],
            sent_s[sent],
            targets[sent][:, leg],
            [JOINTS[i] for i in leg],
        ),
    )


def standing(demo: Demo) -> NDArray[np.bool_]:
    """Whether each of `FEET` stood (t, 4): where the joint angles put it, on flat ground."""
    position, (w, x, y, z) = demo.arrays["position"], demo.arrays["orientation"].T
    up = np.stack((2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)), axis=1)  # world's z in the body
    angles = _joint_angles(demo)
    feet = np.array([[foot_position(leg, *row[3 * i : 3 * i + 3]) for i, leg in enumerate(FEET)] for row in angles])
    height = position[:, 2:] + np.einsum("tfk,tk->tf", feet, up) - FOOT_RADIUS
    return height < _LIFTED_M


def _joint_angles(demo: Demo) -> Vector:
    """Recorded angles (t, 12) rad by `JOINTS`, at the times of the true state."""
    a, names = demo.arrays, list(demo.arrays["reading_order/joint_position"])
    columns = (a["reading/joint_position"][:, names.index(name)] for name in JOINTS)
    return np.stack([np.interp(a["time"], a["reading_time/joint_position"], column) for column in columns], axis=1)


def _learning(demo: Demo) -> str:
    text = "Episodes end after 20 s, or when the robot falls; it is pushed, loaded and told to go elsewhere meanwhile."
    return parts.learning(demo, text, staged=False)


def _note(demo: Demo) -> Text:
    time, asked, true = demo.arrays["time"], demo.arrays["asked_velocity"], _smoothed(demo)

    def note(at_s: float) -> str:
        i = min(int(np.searchsorted(time, at_s + time[0])), len(time) - 1)
        return velocities(asked[i].tolist(), true[i].tolist())

    return note


WALK = Kind(
    task="quadruped",
    stand_in="quadruped",
    mission="walk",
    plan=WalkPlan,
    doing="walking",
    out=Path("runs/demo-quadruped"),
    lead="""A policy for a {robot} of the Unitree Go2's published size and motors, trained on this machine, exported as
one graph from raw sensor readings to joint targets, and walked by a ROS 2 node over real DDS. The robot was a stand-in:
another simulation, in a process of its own. No hardware has walked.""",
    facts=_facts,
    sections=(_video, _path, _velocity, _posture, _gait, _learning, parts.timing),
    note=_note,
)
