"""The report of a flight: one self-contained page that says what happened, also when it went wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isthmus_deploy.ros.missions.flight import Flight, Options
from isthmus_deploy.ros.missions.flight_plan import FlightPlan
from isthmus_deploy.ros.missions.log import MissionLog, Series
from isthmus_deploy.ros.truth import Truth
from isthmus_policies.demo.report.headlines import facts
from isthmus_policies.demo.report.missions.flight import FLIGHT
from isthmus_policies.demo.report.page import page, write_report
from isthmus_policies.demo.report.parts import observed_timing
from isthmus_policies.demo.report.record import Demo, ReportError, load_demo
from isthmus_sim.robots.quadrotor.description import ROTORS
from isthmus_sim.tasks import make_task

PLAN = FlightPlan(climb_s=1.0, hover_s=1.5, laps=1, period_s=4.0)
LATENCY_S = 0.0008


def flown(end_s: float) -> MissionLog:
    """A flight that lags 0.1 s behind the plan and ends after `end_s`, logged as the operator logs it."""
    sent = Series(order=ROTORS)
    log = MissionLog(asked=Flight.columns, commands={"rotor_speed": sent})
    for t in np.arange(0.0, end_s, 0.01).tolist():
        (reference, velocity), (position, _) = PLAN.reference(t), PLAN.reference(max(0.0, t - 0.1))
        log.truth.append((t, *position, 1.0, *(0.0,) * 9, *reference, *velocity))
        sent.samples.append((t + LATENCY_S, *(1500.0,) * 4))
    return log


def write_flight(folder: Path, end_s: float, failures: list[str]) -> None:
    log = flown(end_s)
    judged = Flight(Options(plan=PLAN, settle_s=0.5)).judge(log, Truth()).facts
    log.save(folder / "flight", "flight", {"success": not failures, "failures": failures, **judged})


@pytest.fixture
def folder(tmp_path: Path, leave_run, leave_timing) -> Path:
    """What a demo whose flight succeeded left."""
    leave_run(tmp_path, "quadrotor-randomized")
    write_flight(tmp_path, PLAN.duration_s, [])
    body = {"mass": 0.0291, "time_constant_up": 0.06, "time_constant_down": 0.6, "battery": 0.95}
    leave_timing(tmp_path, parameters=body, estimator_delay_s=0.02)
    (tmp_path / "flight.mp4").write_bytes(b"a video")
    return tmp_path


def test_the_page_is_self_contained_and_well_formed(folder: Path, check_page):
    path = write_report(load_demo(folder, "quadrotor", "flight"), FLIGHT)
    assert path == folder / "report.html"
    text = path.read_text()
    check_page(text, plots=4)
    assert "data:video/mp4;base64,YSB2aWRlbw==" in text


def test_the_page_says_what_happened(folder: Path):
    text = page(load_demo(folder, "quadrotor", "flight"), FLIGHT).replace("\u00a0", " ")
    assert "The flight succeeded" in text
    assert "No hardware has flown" in text
    for part in ("8.0 s", "99.0 %", "0123abc", "812 ticks, 3 without their reading"):
        assert part in text
    assert "of 500 episodes: lasted to the end (95 %: 97.6 % to 99.6 %); 1.0 % failed" in text
    for name, value in (("mass", "29.1 g"), ("time constant up", "60 ms"), ("time constant down", "0.6 s"),
                        ("battery", "0.95"), ("estimator delay", "20 ms")):  # fmt: skip
        assert f"<td>{name}</td><td class=n>{value}</td>" in text
    for signal in make_task("quadrotor-randomized").robot.signals:
        assert f"<code>{signal.name}</code>" in text
    for phase in PLAN.phases:
        assert text.count(phase.name) >= 2, "in the plot and in the table"


def test_the_page_says_where_the_policy_came_from_and_how_to_do_it_again(folder: Path):
    text = page(load_demo(folder, "quadrotor", "flight"), FLIGHT)
    for name, value in (("task", "quadrotor-randomized"), ("from the package", "isthmus 7.8.9"),
                        ("robot's model", "crazyflie"), ("engine", "mujoco")):  # fmt: skip
        assert f"<td>{name}</td><td>{value}</td>" in text
    assert "episode_steps&quot;: 987" in text
    assert 'make demo TASK=quadrotor ARGS="--seed 4 --robot-seed 7"' in text


def test_the_page_says_which_packages_the_policy_was_made_with(folder: Path):
    demo = load_demo(folder, "quadrotor", "flight")
    packages = {
        "task quadrotor-randomized": "isthmus 7.8.9",
        "policy calm": "calm 1.0",
        "engine mujoco": "isthmus 7.8.9",
    }
    provenance = replace(demo.contract.provenance, packages=packages)
    text = page(replace(demo, contract=replace(demo.contract, provenance=provenance)), FLIGHT)
    told = "isthmus 7.8.9 (task quadrotor-randomized, engine mujoco); calm 1.0 (policy calm)"
    assert f"<td>from the package</td><td>{told}</td>" in text


def test_every_axis_has_a_unit(folder: Path):
    text = page(load_demo(folder, "quadrotor", "flight"), FLIGHT)
    labels = (
        "x, m",
        "y, m",
        "z, m",
        "time, s",
        "time, ms",
        "distance from the reference, cm",
        "environment steps, millions",
    )
    for label in labels:
        assert label in text


def test_the_plot_marks_where_the_rewards_weights_are_at_their_end(folder: Path):
    assert "weights at their final values" in page(load_demo(folder, "quadrotor", "flight"), FLIGHT)


def test_a_failed_flight_is_shown_as_one(folder: Path, leave_run):
    write_flight(folder, 1.8, ["node fault: position.x: <not finite>"])
    for name in ("robot.json", "node.json", "echo.json", "flight.mp4"):
        (folder / name).unlink()
    leave_run(folder, "quadrotor-randomized", {})
    demo = load_demo(folder, "quadrotor", "flight")
    text = page(demo, FLIGHT)
    assert "The flight failed: node fault: position.x: &lt;not finite&gt;" in text
    assert "No video" in text
    values = {fact.label: fact.value for fact in facts(demo, FLIGHT)}
    assert values["Error in flight, figure-eight"] == "not flown"
    assert values["In simulation"] == "not evaluated"
    assert values["Sensor to command over ROS 2"] == "not measured"


def test_a_folder_without_a_flight_is_refused(folder: Path):
    write_flight(folder, 0.01, ["gone at once"])
    with pytest.raises(ReportError, match="a flight of 1 samples"):
        load_demo(folder, "quadrotor", "flight")
    (folder / "flight" / "flight.npz").unlink()
    with pytest.raises(ReportError, match=r"no flight\.npz: the mission recorded nothing"):
        load_demo(folder, "quadrotor", "flight")


def test_observed_timing_pairs_each_reading_with_its_first_command():
    truth, commands = np.array([1.00, 1.01, 1.02, 1.03]), np.array([0.999, 1.002, 1.003, 1.021])
    latency, period = observed_timing(truth, commands)
    assert latency == pytest.approx([0.002, 0.001])
    assert period == pytest.approx([0.003, 0.001, 0.018])


def test_the_flights_numbers_are_those_of_its_log(folder: Path):
    demo = load_demo(folder, "quadrotor", "flight")
    assert isinstance(demo, Demo)
    values = {fact.label: fact.value for fact in facts(demo, FLIGHT)}
    # 0.1 s late on a figure-eight whose mean squared speed is known: A²(2π/T)²·(1/2 + 1/2)
    expected_m = 0.1 * PLAN.size_m * 2 * np.pi / PLAN.period_s
    assert float(values["Error in flight, figure-eight"].removesuffix(" cm")) == pytest.approx(
        100 * expected_m, rel=0.05
    )
