"""How a peg in a hole is demonstrated: by a script that sees what the robot does."""

from __future__ import annotations

from isthmus_policies.demonstrate.demonstration import Demonstration
from isthmus_policies.demonstrate.peg_script import PegScript
from isthmus_policies.demonstrate.script_operator import PolicyScript
from isthmus_sim.tasks import make_task


def _script(noise: float, skill: float) -> PolicyScript:
    task = make_task("peg")
    return PolicyScript(PegScript(task.config), task, noise=noise, skill=skill, stray=0.02)


DEMONSTRATION = Demonstration(
    words="bring the peg into the hole",
    script=_script,
    noise=0.001,
    policy=lambda task: PegScript(task.config),
)
