"""What a demonstration leaves beside its mission's record, for reports of every kind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus_deploy.contracts.contract import Provenance
from isthmus_deploy.policy.policy_file import ReplayStep, seal
from isthmus_deploy.timing.histogram import LatencyHistogram
from isthmus_policies.export.conditions import Margins
from isthmus_policies.export.contract import make_contract
from isthmus_policies.networks.policy import make_policy
from isthmus_policies.training.config import default_config
from isthmus_policies.training.worlds import robot_named
from isthmus_sim.tasks import make_task

Leave = Callable[..., None]


def _histogram(*durations_us: float) -> dict[str, float]:
    times = LatencyHistogram()
    for duration in durations_us:
        times.record(round(1e3 * duration))
    return times.summary()


EVALUATION = {
    "episodes": 500, "success": [0.976, 0.99, 0.996], "success_is": "lasted to the end", "failed": [0.0, 0.01, 0.02],
}  # fmt: skip


@pytest.fixture(scope="session")
def leave_timing() -> Leave:
    """`leave_timing(folder, **hidden)`: what robot, node and echo measured; the robot also what it kept `hidden`."""

    def write(folder: Path, **hidden: object) -> None:
        times = _histogram(500, 800, 2000)
        loop = {"cycles": 812, "missed_readings": 3, "overruns": 1, "period_error": times}
        files: dict[str, dict[str, Any]] = {
            "robot": {"seed": 7, "sensor_to_command": times, **hidden},
            "node": {"loop": loop, "sections": {"policy": times}, "reading_to_command": times},
            "echo": {**_histogram(300, 400), "load_average": 0.4},
        }
        for name, value in files.items():
            (folder / f"{name}.json").write_text(json.dumps(value))

    return write


@pytest.fixture(scope="session")
def leave_run() -> Leave:
    """`leave_run(folder, task, evaluation, robot)`: a training run with its exported policy; on the task's own robot,
    or on the one that --robot would name."""

    def write(folder: Path, task: str, evaluation: Mapping[str, object] = EVALUATION, robot: str | None = None) -> None:
        made, config = make_task(task, robot=robot_named(robot, task) if robot else None), default_config(task)
        provenance = Provenance(
            task=task, task_config={"episode_steps": 987}, package="isthmus", package_version="7.8.9",
            robot_model=robot or made.robot.name, engine="mujoco", code_revision="0123abc", seed=4, data=None,
            created="2026-01-02T03:04:05+00:00", evaluation=evaluation,
        )  # fmt: skip
        run = folder / "run"
        run.mkdir(parents=True, exist_ok=True)
        # A model without layers: the report reads the contract, not the graph.
        policy = make_policy(config.policy_name, config.policy, dict(made.groups), made.action_size)
        contract = make_contract(made, policy, provenance)
        step = ReplayStep(
            reset=True,
            signals={s.name: np.zeros(s.shape, s.dtype) for s in contract.signals},
            commands={c.name: np.zeros(c.shape, c.dtype) for c in contract.commands},
            margins=np.zeros(len(made.conditions), np.float32),
        )
        (run / "policy.onnx").write_bytes(seal(b"", contract, [step], Margins(made).model))
        rows = [f"{i},{i * 1e5},{i * 0.2},{0.6 * min(1, i / 20)},{50 + i},{min(500, 12 * i)}" for i in range(1, 41)]
        head = "iteration,steps,seconds,progress,episode/return,episode/length"
        (run / "metrics.csv").write_text("\n".join((head, *rows)) + "\n")

    return write


class _Links(HTMLParser):
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


@pytest.fixture
def check_page() -> Callable[[str, int], None]:
    """`check_page(text, plots)`: well-formed, self-contained, so many plots, which share no ids and no colours of
    their own."""

    def check(text: str, plots: int) -> None:
        links = _Links(text)
        assert not links.open
        assert [link for link in links.found if not link.startswith(("data:", "#"))] == []
        assert "@import" not in text
        assert not re.findall(r"url\((?!#)", text)
        drawn = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
        assert len(drawn) == plots
        assert set(re.findall(r"#[0-9a-f]{6}\b", "".join(drawn))) <= {"#000000"}
        ids = re.findall(r'id="([^"]+)"', "".join(drawn))
        assert len(ids) == len(set(ids))

    return check
