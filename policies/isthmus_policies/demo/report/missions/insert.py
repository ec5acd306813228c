"""A peg into a hole: an arm that feels with its wrist, taught by demonstrations and by taking over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from isthmus_deploy.ros.missions.attempt import AttemptPlan
from isthmus_policies.actor_learner.script import ScriptConfig
from isthmus_policies.demo.making.teaching import ByTeaching
from isthmus_policies.demo.report import teaching
from isthmus_policies.demo.report.missions.attempt import Measure, attempt_kind


@dataclass(frozen=True, kw_only=True)
class InsertPlan(AttemptPlan):
    """Twice the time of an episode."""

    time_s: Annotated[float, tyro.conf.arg(aliases=["--time-s"])] = 16.0
    """Time for it, s."""


INSERT = attempt_kind(
    measure=Measure(name="distance_m", title="Distance to its place in the hole", unit="mm", scale=1000.0, below=True),
    # Who looks on waits for 4 s, and then brings it to its end.
    making=ByTeaching(
        script=ScriptConfig(probability=0.5, patience=80, duration=160),
        learner=("--algorithm.warm-up", "100"),
    ),
    plan=InsertPlan,
    doing="inserting",
    learning=teaching.learning,
    lead="""A policy for the {robot} that was taught on this machine: from demonstrations, and while a simulated arm
practised in real time, by a learner in a process beside it and a script that took over. It was exported as one graph
from raw readings to joint targets, and run by a ROS 2 node over real DDS. The robot was a stand-in: another simulation,
in a process of its own. No hardware has moved.""",
)
