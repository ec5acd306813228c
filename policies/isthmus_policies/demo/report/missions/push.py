"""Push-T: a disc pushes a block of the shape of a T into its goal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from isthmus_deploy.ros.missions.attempt import AttemptPlan
from isthmus_policies.chunks.encoder import EncoderConfig
from isthmus_policies.chunks.training.config import Learning, default_config
from isthmus_policies.demo.making.demonstrations import FromDemonstrations
from isthmus_policies.demo.report.missions.attempt import Measure, attempt_kind
from isthmus_sim.tasks.push_t import SUCCESS


@dataclass(frozen=True, kw_only=True)
class PushPlan(AttemptPlan):
    """Twice the published episode's time: what is corrected late counts too."""

    time_s: Annotated[float, tyro.conf.arg(aliases=["--time-s"])] = 60.0
    """Time for it, s."""


PUSH = attempt_kind(
    measure=Measure(name="coverage", title="Coverage", unit="% of the goal", scale=100.0, done=100 * SUCCESS),
    making=FromDemonstrations(
        recipe=default_config(
            (Path("DATASET"),),
            "flow",
            "mlp",
            columns=("observation.state",),
            observed=1,  # who sees two rows goes on as before
            angles=("observation.state:4",),
            frames=("observation.state:0,1@2,3,4",),  # the disc as the block sees it
            # The goal lies on the table's diagonal and is its own image in it.
            mirror=("observation.state=512-1,512-0,512-3,512-2,1.5707963-4", "action=512-1,512-0"),
            encoder=EncoderConfig(width=256),
            learning=Learning(rate=1e-3),
        )
    ),
    plan=PushPlan,
    doing="pushing",
    lead="""A policy for the {robot} that learned from demonstrations on this machine, was distilled into a student of
two evaluations, exported as one graph from raw sensor readings to commands, and run by a ROS 2 node over real DDS. The
robot was a stand-in: another simulation, in a process of its own. No hardware has pushed.""",
)
