"""An attempt at a task in which something is to be achieved: what every such report has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from isthmus_deploy.ros.missions.attempt import AttemptPlan
from isthmus_policies.demo.making.making import Making
from isthmus_policies.demo.report import parts
from isthmus_policies.demo.report.html import Fact, section
from isthmus_policies.demo.report.kind import DemoKind
from isthmus_policies.demo.report.missions import attempt_plots
from isthmus_policies.demo.report.plots import Vector
from isthmus_policies.demo.report.record import Demo
from isthmus_policies.evaluation.video import Text


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What tells how far a task is: one of the task's metrics by its name, times `scale` in `unit`. It is done above
    `done`, or where `below` under it; None where there is more to it."""

    name: str
    title: str
    unit: str
    scale: float = 1.0
    done: float | None = None
    below: bool = False

    def over_time(self, demo: Demo) -> tuple[Vector, Vector]:
        """(t,) s since the policy began, and what was measured then, (t,); empty where the stand-in kept nothing."""
        time = demo.things.get("time", np.zeros(0))
        end_s = demo.facts["took_s"] + demo.contract.control_period_s  # the last row is told a little late
        during = (time >= 0.0) & (time <= end_s)
        return time[during], self.scale * demo.things.get(f"measured/{self.name}", np.zeros(0))[during]

    def best(self, values: Vector) -> float:
        """The nearest that it came to done."""
        return float(values.min() if self.below else values.max())

    def told(self, value: float) -> str:
        return f"{value:.3g} {self.unit}"


def attempt_kind(
    *, measure: Measure, making: Making, plan: type[AttemptPlan], doing: str, lead: str,
    trains: Mapping[str, str] | None = None, learning: Callable[[Demo], str] | None = None,
) -> DemoKind:  # fmt: skip
    """The demo of a task that people or scripts demonstrate: its policy learns from them, and attempts it. learning:
    the part of the page about that; by default losses of teacher and student."""
    return DemoKind(
        mission="attempt",
        operator="isthmus_deploy.ros.missions.attempt",
        plan=plan,
        doing=doing,
        lead=lead,
        facts=lambda demo: [_outcome(demo, measure)],
        sections=(_video, lambda demo: _progress(demo, measure), learning or _learning, parts.timing),
        note=lambda demo: _note(demo, measure),
        trains=trains or {},
        making=making,
        at_task=True,
    )


def _outcome(demo: Demo, measure: Measure) -> Fact:
    took_s, limit_s = demo.facts["took_s"], demo.facts["plan"]["time_s"]
    value = f"done after {took_s:.1f} s" if demo.success else "not done"
    _, values = measure.over_time(demo)
    best = f"; {measure.title.lower()} {measure.told(measure.best(values))} at best" if len(values) else ""
    return Fact(label="The task, over ROS 2", value=value, detail=f"asked for within {limit_s:g} s{best}")


def _video(demo: Demo) -> str:
    return parts.video(
        demo,
        title="The attempt",
        text="What the stand-in did, drawn afterwards. The policy was told only what the robot's sensors read.",
        body_title="What was drawn, and not told",
        keys="",
    )


def _progress(demo: Demo, measure: Measure) -> str:
    time, values = measure.over_time(demo)
    text = "As the task measures it of the true state, which the policy does not have."
    if len(time) < 2:
        return section(measure.title, "The stand-in kept no record of it.")
    return section(measure.title, text, attempt_plots.progress(time, values, measure.title, measure.unit, measure.done))


def _learning(demo: Demo) -> str:
    """Losses of teacher and student; nothing where neither is known."""
    runs = {"teacher": demo.teacher, "student": demo.metrics} if demo.teacher else {"policy": demo.metrics}
    runs = {name: rows for name, rows in runs.items() if len(rows) > 1}
    if not runs:
        return ""
    text = (
        "Each has a loss of its own. A student gives in two evaluations of its network what the teacher gives in "
        "several; the graph on the robot is the student's."
    )
    return section("Learning", text, attempt_plots.losses(runs))


def _note(demo: Demo, measure: Measure) -> Text:
    time, values = measure.over_time(demo)

    def note(at_s: float) -> str:
        i = min(int(np.searchsorted(time, at_s)), len(time) - 1)
        return f"{measure.title.lower()} {measure.told(float(values[i]))}" if len(time) else ""

    return note
