"""The report of a walk, made from the record of a robot that trots on the spot and glides as it is told."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from isthmus_deploy.ros.missions.log import MissionLog, Series
from isthmus_deploy.ros.missions.walk import Options, Walk
from isthmus_deploy.ros.missions.walk_plan import WalkPlan
from isthmus_deploy.ros.truth import Truth
from isthmus_policies.demo.report.headlines import facts
from isthmus_policies.demo.report.missions.gait import standing
from isthmus_policies.demo.report.missions.walk import WALK
from isthmus_policies.demo.report.page import page, write_report
from isthmus_policies.demo.report.record import Demo, load_demo
from isthmus_sim.robots.quadruped.description import FEET, JOINTS, PRONE_HEIGHT, PRONE_POSE, ROBOT, base_height

STEP_S = 0.02
PLAN = WalkPlan(side_m=0.9, stand_s=0.6, sideways_m=0.6)
STRANGE_ORDER = sorted(JOINTS)  # as drivers have it, not as the contract
LEVEL_POSE = (0.0, 0.8, -1.5) * 4  # all feet on the ground while the base is level
STEPPING = ("FL", "RR")  # the diagonal that lifts its feet, every other half second


def pose(time_s: float) -> dict[str, float]:
    angles = dict(zip(JOINTS, LEVEL_POSE if time_s > 0 else PRONE_POSE, strict=True))
    if time_s > 0 and time_s % 1.0 < 0.5:
        for leg in STEPPING:
            angles[f"{leg}_calf_joint"] -= 0.4
    return angles


def walked(share: float = 0.9, end_s: float = math.inf) -> tuple[Walk, MissionLog]:
    """A walk at a `share` of the asked velocity that breaks off at `end_s`."""
    walk = Walk(Options(plan=PLAN))
    read, sent = Series(order=tuple(STRANGE_ORDER)), Series(order=JOINTS)
    log = MissionLog(asked=walk.columns, readings={"joint_position": read}, commands={"joint_position_target": sent})
    x = y = heading = time_s = 0.0
    velocity = np.zeros(3)

    def truth(height: float) -> Truth:
        return Truth(
            position=np.array((x, y, height)),
            orientation=np.array((math.cos(heading / 2), 0.0, 0.0, math.sin(heading / 2))),
            linear_velocity=np.array((velocity[0], velocity[1], 0.0)),
            angular_velocity=np.array((0.0, 0.0, velocity[2])),
        )

    def sample(at_s: float, seen: Truth, asked: np.ndarray) -> None:
        angles = pose(at_s)
        log.truth.append((at_s, *(v for part in vars(seen).values() for v in part.tolist()), *asked.tolist()))
        read.samples.append((at_s, *(angles[name] for name in STRANGE_ORDER)))
        sent.samples.append((at_s + 0.001, *(angles[name] for name in JOINTS)))

    lies, stands = truth(PRONE_HEIGHT), truth(base_height(LEVEL_POSE))
    for at_s in np.arange(-1.0, 0.0, STEP_S).tolist():
        sample(at_s, lies, walk.rest(lies))
    walk.begin(stands)
    while (asked := walk.ask(time_s, stands)) is not None and time_s < end_s:
        sample(time_s, stands, asked)
        velocity = share * asked[:3]
        x += (math.cos(heading) * velocity[0] - math.sin(heading) * velocity[1]) * STEP_S
        y += (math.sin(heading) * velocity[0] + math.cos(heading) * velocity[1]) * STEP_S
        heading += velocity[2] * STEP_S
        time_s, stands = time_s + STEP_S, truth(base_height(LEVEL_POSE))
    return walk, log


@pytest.fixture(scope="module")
def leave(leave_run, leave_timing):
    """`leave(folder, failures, ...)`: what a demo with a walk as `walked` makes it left."""

    def write(folder: Path, failures: tuple[str, ...] = (), **options: float) -> Demo:
        leave_run(folder, "quadruped")
        body = {
            "payload": 1.7, "com_offset": [0.003, 0.0, 0.004], "friction": 0.62, "strength": [0.87] * 11 + [0.98],
            "command_delay_s": 0.02, "heading": 0.5,
        }  # fmt: skip
        leave_timing(folder, parameters=body)
        walk, log = walked(**options)
        judged = walk.judge(log, Truth()).facts
        log.save(folder / "walk", "walk", {"success": not failures, "failures": list(failures), **judged})
        (folder / "walk.mp4").write_bytes(b"a video")
        return load_demo(folder, "quadruped", "walk")

    return write


@pytest.fixture(scope="module")
def demo(leave, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A walk that succeeded."""
    return leave(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def text(demo: Demo) -> str:
    """Its page."""
    return write_report(demo, WALK).read_text()


def test_the_page_is_self_contained_and_says_what_happened(text: str, check_page):
    check_page(text, plots=7)
    assert "data:video/mp4;base64,YSB2aWRlbw==" in text
    plain = text.replace("\u00a0", " ")
    assert "The walk succeeded" in plain
    assert "No hardware has walked" in plain
    for part in (
        "99.0 %",
        "1.7 kg",
        "3, 0, 4 mm",
        "0.62",
        "0.87 … 0.98",
        "20 ms",
        "0.5 rad",
        "make demo TASK=quadruped",
    ):
        assert part in plain
    for leg in PLAN.legs:
        assert f"<td>{leg.name}</td>" in plain
    for name in JOINTS:
        assert f"<code>{name}</code>" in plain
    assert "the 12 joints below" in plain


def test_the_contract_says_what_was_asked_in_training(text: str):
    row = text[text.index("<code>linear_velocity_command</code>") :]
    row = row[: row.index("</tr>")]
    assert row.endswith("<td class=n>-0.8 … 1, ±0.4</td>")


def test_every_axis_has_a_unit(text: str):
    for label in ("x, m", "y, m", "angle, °", "m/s", "rad/s", "height, m", "angle, rad", "time, s", "time, ms"):
        assert f">{label}<" in text


def test_the_headlines_are_those_of_the_record(demo: Demo):
    values = {fact.label: fact for fact in facts(demo, WALK)}
    missed = values["Asked velocity missed by"]
    legs = len(PLAN.legs)
    assert missed.value == f"{0.1 * (4 * PLAN.speed + PLAN.sideways_speed) / legs:.2f} m/s"
    assert f"and {0.1 * 4 * PLAN.turn_rate / legs:.2f} rad/s" in missed.detail
    assert "worst leg 0.06 m/s (side 1)" in missed.detail
    away_cm = float(values["End of the walk missed by"].value.removesuffix(" cm"))
    assert 0 < away_cm < 30


def test_a_foot_stands_unless_its_leg_is_drawn_in(demo: Demo):
    stands, time = standing(demo.description, demo.arrays), demo.arrays["time"]
    lifting = (time > 0.1) & (time % 1.0 > 0.1) & (time % 1.0 < 0.4)
    resting = (time > 0.1) & (time % 1.0 > 0.6) & (time % 1.0 < 0.9)
    steps = np.array([foot in STEPPING for foot in FEET])
    assert stands[resting].all()
    assert (stands[lifting] == ~steps).all()


@pytest.mark.parametrize("end_s", [0.1, 1.0])
def test_a_fall_is_shown_as_one(leave, check_page, tmp_path: Path, end_s: float):
    leave(tmp_path, ("fell: tilted by 71° in stand (at most 60°)",), end_s=end_s)
    for name in ("robot.json", "node.json", "echo.json", "walk.mp4"):
        (tmp_path / name).unlink()
    demo = load_demo(tmp_path, "quadruped", "walk")
    text = page(demo, WALK)
    check_page(text, plots=5 if end_s < PLAN.stand_s else 7)
    assert "The walk failed: fell: tilted by 71° in stand" in text
    assert "No video" in text
    assert {fact.value for fact in facts(demo, WALK)} >= {"not reached", "not measured"}


def test_the_contract_has_the_resting_pose_of_every_joint(text: str):
    head, _, joints = text.partition("Joints, SI units")
    assert "-2.65 … " in head
    row = joints[joints.index("<code>RL_thigh_joint</code>") :]
    row = row[: row.index("</tr>")]
    assert f">{ROBOT.commands[0].safe[JOINTS.index('RL_thigh_joint')]:g}<" in row
