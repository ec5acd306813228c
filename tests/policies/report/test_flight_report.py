"""The report: one self-contained page that says what happened, also when it went wrong."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from isthmus_deploy.contract import Provenance
from isthmus_deploy.loop import LatencyHistogram
from isthmus_deploy.policy_file import ReplayStep, seal
from isthmus_deploy.ros.flight_log import FlightLog, tracking
from isthmus_deploy.ros.flight_plan import FlightPlan
from isthmus_policies.export import make_contract
from isthmus_policies.report import Demo, ReportError, facts, load_demo, observed_timing, page, write_report
from isthmus_sim.tasks import make_task

PLAN = FlightPlan(climb_s=1.0, hover_s=1.5, laps=1, period_s=4.0)
LATENCY_S = 0.0008


def flown(end_s: float) -> FlightLog:
    """A flight that lags 0.1 s behind the plan and ends after `end_s`, logged as the mission logs it."""
    log = FlightLog()
    for t in np.arange(0.0, end_s, 0.01).tolist():
        (reference, velocity), (position, _) = PLAN.reference(t), PLAN.reference(max(0.0, t - 0.1))
        log.truth.append((t, *position, 1.0, *(0.0,) * 9, *reference, *velocity))
        log.commands.append((t + LATENCY_S, *(1500.0,) * 4))
    return log


def histogram(*durations_us: float) -> dict[str, float]:
    times = LatencyHistogram()
    for duration in durations_us:
        times.record(round(1e3 * duration))
    return times.summary()


def write_flight(folder: Path, end_s: float, failures: list[str]) -> None:
    log = flown(end_s)
    phases = [vars(phase) for phase in PLAN.phases]
    errors = tracking(log, PLAN, settle_s=0.5)
    summary = {"success": not failures, "failures": failures, "tracking_m": errors, "plan": vars(PLAN)}
    log.save(folder / "flight", {**summary, "limits": {}, "phases": phases})


def write_timing(folder: Path) -> None:
    times = histogram(500, 800, 2000)
    robot = {
        "seed": 7, "estimator_delay_s": 0.02, "sensor_to_command": times,
        "parameters": {"mass": 0.0291, "time_constant_up": 0.06, "time_constant_down": 0.2, "battery": 0.95},
    }  # fmt: skip
    loop = {"cycles": 812, "missed_readings": 3, "overruns": 1, "period_error": times}
    node = {"loop": loop, "sections": {"policy": times}, "reading_to_command": times}
    for name, value in (("robot", robot), ("node", node), ("echo", {**histogram(300, 400), "load_average": 0.4})):
        (folder / f"{name}.json").write_text(json.dumps(value))


def write_run(folder: Path, evaluation: dict[str, object]) -> None:
    provenance = Provenance(
        task="quadrotor-randomized", code_revision="0123abc", seed=4, data=None, created="2026-01-02T03:04:05+00:00",
        evaluation=evaluation,
    )  # fmt: skip
    run = folder / "run"
    run.mkdir(parents=True, exist_ok=True)
    # A model without layers: the report reads the contract, not the graph.
    contract = make_contract(make_task("quadrotor-randomized"), provenance)
    step = ReplayStep(
        reset=True,
        signals={s.name: np.zeros(s.shape, s.dtype) for s in contract.signals},
        commands={c.name: np.zeros(c.shape, c.dtype) for c in contract.commands},
    )
    (run / "policy.onnx").write_bytes(seal(b"", contract, [step]))
    rows = [f"{i},{i * 1e5},{i * 0.2},{min(1, i / 20)},{50 + i},{min(500, 12 * i)}" for i in range(1, 41)]
    head = "iteration,steps,seconds,progress,episode/return,episode/length"
    (run / "metrics.csv").write_text("\n".join((head, *rows)) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a demo whose flight succeeded left."""
    write_run(tmp_path, {"episodes": 500, "success": [0.976, 0.99, 0.996]})
    write_flight(tmp_path, PLAN.duration_s, [])
    write_timing(tmp_path)
    (tmp_path / "flight.mp4").write_bytes(b"a video")
    return tmp_path


class Links(HTMLParser):
    """Collects what a page would load, and checks that its tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "data")]
        if tag not in ("meta", "br", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_self_contained_and_well_formed(folder: Path):
    path = write_report(load_demo(folder))
    assert path == folder / "report.html"
    text = path.read_text()
    links = Links(text)
    assert not links.open
    outside = [link for link in links.found if not link.startswith(("data:", "#"))]
    assert not outside
    assert "@import" not in text
    assert not re.findall(r"url\((?!#)", text)
    assert "data:video/mp4;base64,YSB2aWRlbw==" in text


def test_the_page_says_what_happened(folder: Path):
    text = page(load_demo(folder)).replace("\u00a0", " ")
    assert "The flight succeeded" in text
    assert "No hardware has flown" in text
    for part in ("8.0 s", "99.0 %", "97.6 % to 99.6 %", "0123abc", "29.1 g", "812 ticks, 3 without their reading"):
        assert part in text
    for signal in make_task("quadrotor-randomized").robot.signals:
        assert f"<code>{signal.name}</code>" in text
    for phase in PLAN.phases:
        assert text.count(phase.name) >= 2, "in the plot and in the table"


def test_every_axis_has_a_unit(folder: Path):
    text = page(load_demo(folder))
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


def test_plots_take_their_colours_from_the_page(folder: Path):
    plots = re.findall(r"<svg.*?</svg>", page(load_demo(folder)), flags=re.DOTALL)
    assert len(plots) == 4
    assert set(re.findall(r"#[0-9a-f]{6}\b", "".join(plots))) <= {"#000000"}
    ids = re.findall(r'id="([^"]+)"', "".join(plots))
    assert len(ids) == len(set(ids)), "plots on one page do not share ids"


def test_a_failed_flight_is_shown_as_one(folder: Path):
    write_flight(folder, 1.8, ["node fault: position.x: <not finite>"])
    for name in ("robot.json", "node.json", "echo.json", "flight.mp4"):
        (folder / name).unlink()
    write_run(folder, {})
    demo = load_demo(folder)
    text = page(demo)
    assert "The flight failed: node fault: position.x: &lt;not finite&gt;" in text
    assert "No video" in text
    values = {fact.label: fact.value for fact in facts(demo)}
    assert values["Error in flight, figure-eight"] == "not flown"
    assert values["In simulation"] == "not evaluated"
    assert values["Sensor to command over ROS 2"] == "not measured"


def test_a_folder_without_a_flight_is_refused(folder: Path):
    write_flight(folder, 0.01, ["gone at once"])
    with pytest.raises(ReportError, match="a flight of 1 samples"):
        load_demo(folder)
    (folder / "flight" / "flight.npz").unlink()
    with pytest.raises(ReportError, match=r"no flight\.npz: the mission recorded nothing"):
        load_demo(folder)


def test_observed_timing_pairs_each_reading_with_its_first_command():
    arrays = {"time": np.array([1.00, 1.01, 1.02, 1.03]), "command_time": np.array([0.999, 1.002, 1.003, 1.021])}
    latency, period = observed_timing(arrays)
    assert latency == pytest.approx([0.002, 0.001])
    assert period == pytest.approx([0.003, 0.001, 0.018])


def test_the_flights_numbers_are_those_of_its_log(folder: Path):
    demo = load_demo(folder)
    assert isinstance(demo, Demo)
    values = {fact.label: fact.value for fact in facts(demo)}
    # 0.1 s late on a figure-eight whose mean squared speed is known: A²(2π/T)²·(1/2 + 1/2)
    expected_m = 0.1 * PLAN.size_m * 2 * np.pi / PLAN.period_s
    assert float(values["Error in flight, figure-eight"].removesuffix(" cm")) == pytest.approx(
        100 * expected_m, rel=0.05
    )
