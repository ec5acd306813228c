"""The walk of a robot with legs: stand up, a square, sideways, sit down."""

from __future__ import annotations

import math
from html import escape

import numpy as np

from isthmus_deploy.ros.missions.walk_log import velocity
from isthmus_deploy.ros.missions.walk_plan import WalkPlan
from isthmus_policies.demo.report import parts
from isthmus_policies.demo.report.html import Fact, key, section, table
from isthmus_policies.demo.report.kind import DemoKind
from isthmus_policies.demo.report.missions import walk_plots
from isthmus_policies.demo.report.missions.gait import standing
from isthmus_policies.demo.report.plots import Vector, running_mean
from isthmus_policies.demo.report.record import Demo
from isthmus_policies.evaluation.video import Text, recorded_state, velocities

_CYCLE_S = 0.5  # of a gait, about: over one, a body's swaying cancels
_SHOWN_S = 4.0  # of gait and joints


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
        keys=keys,
    )


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
    foot, *_ = demo.description.legs
    text = (
        "The first steps. A foot stands where the recorded joint angles put it on the ground. Targets are what the "
        f"policy sends the motors of one leg ({foot}); by the distance from target to angle they carry the robot."
    )
    start = next((start for name, start, _ in demo.phases if name == "side 1"), math.inf)
    time = demo.arrays["time"]
    shown = (time >= start) & (time < start + _SHOWN_S)
    if shown.sum() < 2:
        return section("Gait", "The walk ended before the first step.")
    plot = walk_plots.gait(time[shown], standing(demo.description, demo.arrays)[shown], demo.description.feet)
    return section("Gait", text, plot, _leg(demo, demo.description.legs[foot], (start, start + _SHOWN_S)))


def _leg(demo: Demo, joints: tuple[str, ...], shown: tuple[float, float]) -> str:
    """Targets and angles of a leg's joints while `shown` (start and end in s)."""
    arrays, names = demo.arrays, list(demo.description.joints)
    columns = [names.index(name) for name in joints]
    time, sent_s = arrays["time"], arrays["command_time/joint_position_target"]
    then, sent = ((moments >= shown[0]) & (moments < shown[1]) for moments in (time, sent_s))
    angles = recorded_state(demo.description, arrays)["joint_position"]
    targets = arrays["command/joint_position_target"]
    return walk_plots.joints(time[then], angles[then][:, columns], sent_s[sent], targets[sent][:, columns], joints)


def _learning(demo: Demo) -> str:
    text = "An episode ends when its time is out or the robot falls; meanwhile it is pushed and told to go elsewhere."
    return parts.learning(demo, text, staged=False)


def _note(demo: Demo) -> Text:
    time, asked, true = demo.arrays["time"], demo.arrays["asked_velocity"], _smoothed(demo)

    def note(at_s: float) -> str:
        i = min(int(np.searchsorted(time, at_s + time[0])), len(time) - 1)
        return velocities(asked[i].tolist(), true[i].tolist())

    return note


WALK = DemoKind(
    mission="walk",
    operator="isthmus_deploy.ros.missions.walk",
    plan=WalkPlan,
    doing="walking",
    lead="""A policy for the {robot}, trained on this machine, exported as one graph from raw sensor readings to joint
targets, and walked by a ROS 2 node over real DDS. The robot was a stand-in: another simulation, in a process of its
own. No hardware has walked.""",
    facts=_facts,
    sections=(_video, _path, _velocity, _posture, _gait, _learning, parts.timing),
    note=_note,
)
