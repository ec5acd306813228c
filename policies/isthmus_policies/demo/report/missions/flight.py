"""The flight of a robot that follows positions: take-off, hover, figure-eight, landing."""

from __future__ import annotations

from html import escape

import numpy as np

from isthmus_deploy.ros.missions.flight_plan import FlightPlan
from isthmus_policies.demo.report import parts
from isthmus_policies.demo.report.html import Fact, key, section, table
from isthmus_policies.demo.report.kind import DemoKind
from isthmus_policies.demo.report.missions import flight_plots
from isthmus_policies.demo.report.plots import Vector
from isthmus_policies.demo.report.record import Demo
from isthmus_policies.evaluation.video import Text, off_reference


def _error(demo: Demo) -> Vector:
    """How far the robot is from the reference, (t, 3) m."""
    return demo.arrays["position"] - demo.arrays["reference_position"]


def _facts(demo: Demo) -> list[Fact]:
    plan, errors = demo.facts["plan"], demo.facts["tracking_m"]
    speed = float(np.linalg.norm(demo.arrays["reference_velocity"], axis=1).max())
    details = {
        "hover": f"root mean square at a height of {plan['height_m']:g} m; largest {{worst:.1f}} cm",
        "figure-eight": f"root mean square, laps of {plan['period_s']:g} s at up to {speed:.1f} m/s; "
        "largest {worst:.1f} cm",
    }
    return [
        Fact(
            label=f"Error in flight, {phase}",
            value=f"{100 * errors[phase]['rmse']:.1f} cm" if phase in errors else "not flown",
            detail=detail.format(worst=100 * errors[phase]["max"]) if phase in errors else "the flight ended before",
        )
        for phase, detail in details.items()
    ]


def _video(demo: Demo) -> str:
    keys = (
        key("flown", "flown")
        + key("reference", "reference, and a ball where the robot should be")
        + "A square of the floor is 25 cm wide. Front rotors are red."
    )
    return parts.video(
        demo,
        title="The flight",
        text="The recorded flight, drawn afterwards. The policy was told nothing of this body, its motors, its delay.",
        body_title="The body it flew in",
        keys=keys,
    )


def _path(demo: Demo) -> str:
    a = demo.arrays
    text = "Where the robot was, against where it was asked to be. True positions, not the policy's noisy readings."
    plot = flight_plots.path(a["time"], a["position"], a["reference_position"], demo.phases)
    return section("Path", text, plot)


def _tracking(demo: Demo) -> str:
    errors = demo.facts["tracking_m"]
    text = (
        "Distance between robot and reference. The figure-eight is entered and left over half a period each; the hover "
        "counts once it has settled."
    )
    distance, rms = np.linalg.norm(_error(demo), axis=1), {name: value["rmse"] for name, value in errors.items()}
    plot = flight_plots.tracking(demo.arrays["time"], distance, demo.phases, rms)
    columns = ("rmse", "rmse_xy", "mean", "max")
    rows = [(escape(name), *(f"{100 * value[column]:.1f}" for column in columns)) for name, value in errors.items()]
    head = ("phase", "root mean square, cm", "horizontal only, cm", "mean, cm", "largest, cm")
    return section("Tracking error", text, plot, table(head, rows, numbers=(1, 2, 3, 4)))


def _learning(demo: Demo) -> str:
    text = "The reward's weights grow until the dashed line, so that the same flying earns less."
    return parts.learning(demo, text, staged=True)


def _note(demo: Demo) -> Text:
    time, error = demo.arrays["time"], _error(demo)
    return lambda at_s: off_reference(error[min(np.searchsorted(time, at_s + time[0]), len(time) - 1)])


FLIGHT = DemoKind(
    mission="flight",
    operator="isthmus_deploy.ros.missions.flight",
    plan=FlightPlan,
    doing="flying",
    lead="""A policy for the {robot}, trained on this machine, exported as one graph from raw sensor
readings to motor commands, and flown by a ROS 2 node over real DDS. The robot was a stand-in: another simulation, in a
process of its own. No hardware has flown.""",
    facts=_facts,
    sections=(_video, _path, _tracking, _learning, parts.timing),
    note=_note,
    trains={"quadrotor": "quadrotor-randomized"},  # who asks for the quadrotor gets a policy for a real airframe
)
