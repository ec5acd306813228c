"""What the doctor says of second opinions: a note where there is none or a bad one, never a reason not to arm."""

from __future__ import annotations

from dataclasses import replace

from untrained import second_opinion

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.ros.doctor.opinions import second_opinions


def lines(contract: Contract, *opinions) -> list[str]:
    origin = contract.provenance.with_opinions(opinions)
    return [str(finding) for finding in second_opinions(replace(contract, provenance=origin))]


def test_each_opinion_is_a_line(contract: Contract):
    bad = second_opinion("sapien", success=(0.7, 0.8, 0.9), kept=(0.7, 0.8, 0.9))
    assert lines(contract, second_opinion("physx"), bad) == [
        "ok     second opinion: physx 98 % of mujoco's success (95 % interval 90 to 103 %, 64 episodes each)",
        "note   second opinion: sapien 80 % of mujoco's success (95 % interval 70 to 90 %, 64 episodes each); "
        "it was to keep 95 %",
    ]


def test_where_there_is_none_it_says_how_to_get_one(contract: Contract):
    (line,) = lines(contract)
    assert line.startswith("note   second opinion: none; isthmus-compare POLICY")
