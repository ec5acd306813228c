"""Pick and place: an arm that sees by two cameras puts a cube into a zone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from isthmus_deploy.ros.missions.attempt import AttemptPlan
from isthmus_policies.chunks.training.config import Learning, default_config
from isthmus_policies.demo.making.demonstrations import DemonstrationOptions, FromDemonstrations
from isthmus_policies.demo.report.missions.attempt import Measure, attempt_kind


@dataclass(frozen=True, kw_only=True)
class PlacePlan(AttemptPlan):
    """Twice the time of an episode."""

    time_s: Annotated[float, tyro.conf.arg(aliases=["--time-s"])] = 24.0
    """Time for it, s."""


PLACE = attempt_kind(
    measure=Measure(name="distance_m", title="Distance to the zone", unit="cm", scale=100.0, below=True),
    making=FromDemonstrations(
        # The stand-in's desk has colors, light and cameras of its own.
        demonstrated="pick_place-randomized",
        recipe=default_config(
            (Path("DATASET"),),
            "flow",
            "mlp",
            columns=("observation.state",),
            cameras=("observation.images.scene", "observation.images.wrist"),
            observed=1,
            size=(64, 64),
            crop=0,  # a shifted image shows the cube where it is not
            learning=Learning(rate=1e-3, batch_size=64),
        ),
        options=DemonstrationOptions(episodes=60, steps=2_000, student_steps=500, tries=10),
    ),
    plan=PlacePlan,
    doing="picking and placing",
    trains={"pick_place": "pick_place-cameras"},
    lead="""A policy for the {robot} that learned from demonstrations on this machine, from its joints and two cameras.
It was distilled into a student of two evaluations, exported as one graph from raw images and joints to joint targets,
and run by a ROS 2 node over real DDS. The robot was a stand-in: another simulation, in a process of its own, at a desk
of another look. No hardware has moved.""",
)
