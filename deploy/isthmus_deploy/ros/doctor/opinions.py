"""What other simulators than the one of its training said of the policy."""

from __future__ import annotations

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.ros.doctor.finding import Finding, fine, remark

_WHAT = "second opinion"


def second_opinions(contract: Contract) -> list[Finding]:
    """A finding for each. That there is none, or that one is bad, keeps nobody from arming: a robot decides it."""
    opinions = contract.provenance.second_opinions
    if not opinions:
        return [remark(_WHAT, "none; isthmus-compare POLICY --engines mujoco physx --write gets one")]
    return [
        fine(_WHAT, str(opinion))
        if opinion.enough
        else remark(_WHAT, f"{opinion}; it was to keep {100 * opinion.required:.0f} %")
        for opinion in opinions
    ]
