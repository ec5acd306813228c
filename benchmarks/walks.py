"""Walks of exported policies on stand-in robots with hidden bodies: in one process, and over ROS 2 in real time."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common import Row, over_seeds

from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.ros.stand_in_robot.trial import Trial, walk
from isthmus_policies.demo.processes import Processes
from isthmus_sim.description import RobotDescription

BODY_SEED = 5_000
START_S = 60  # for the processes to find each other
MISSION_S = 180  # with the start; the walk itself takes half a minute

Bound = tuple[str | None, str | None]


@dataclass(frozen=True, kw_only=True)
class Walks:
    """Walks of one policy."""

    in_process: list[Trial]
    over_ros: dict[int, list[str]]
    """Seed of the body -> why the walk failed; nothing: it succeeded."""

    def __str__(self) -> str:
        ends = [f"body {body}: {'; '.join(failures) or 'succeeded'}" for body, failures in self.over_ros.items()]
        succeeded = sum(not trial.failures for trial in self.in_process)
        return f"{succeeded} of {len(self.in_process)} walks succeed in one process; ROS 2: {', '.join(ends) or 'none'}"


def walk_all(policy: Path, robot: RobotDescription, walks: int, bodies: tuple[int, ...]) -> Walks:
    """The mission's square with the exported policy, every time on another hidden body. Raises ProcessError."""
    runtime = Runtime(policy)
    return Walks(
        in_process=[walk(runtime, robot, BODY_SEED + i) for i in range(walks)],
        over_ros={body: _over_ros(policy, robot.name, body) for body in bodies},
    )


def _over_ros(policy: Path, robot: str, body: int) -> list[str]:
    """Three processes as on a robot: robot, policy node, operator. Returns the operator's verdict."""
    with tempfile.TemporaryDirectory() as temporary, Processes(Path(temporary)) as processes:
        record = Path(temporary) / "walk"
        processes.start("robot", "isthmus_deploy.ros.stand_in_robot", "--robot", robot, "--seed", body)
        processes.start("node", "isthmus_deploy.ros.node.policy_node", policy, "--no-record", "--wait-s", START_S)
        operator = processes.start("operator", "isthmus_deploy.ros.missions.walk", "--log", record, "--wait-s", START_S)
        if not operator.ended(MISSION_S):
            return [f"not over after {MISSION_S} s"]
        verdict = record / "walk.json"
        if not verdict.is_file():
            operator.require_success()
        return json.loads(verdict.read_text(encoding="utf-8"))["failures"]


def walk_rows(results: list[Walks], transfer: Bound, ros: Bound) -> list[Row]:
    """The walks of all seeds. A fault of the safety chain counts like a fall."""
    rows = []
    if results[0].in_process:
        rows += _in_process_rows([result.in_process for result in results], transfer)
    if results[0].over_ros:
        shares = [_share(not failures for failures in result.over_ros.values()) for result in results]
        bodies = ", ".join(map(str, results[0].over_ros))
        row = over_seeds("walks over ROS 2 that succeed", shares, "%", must=ros[0], aim=ros[1], peer=f"bodies {bodies}")
        rows.append(row)
    return rows


def _in_process_rows(walks: list[list[Trial]], bound: Bound) -> list[Row]:
    falls = [_share(w.fell or w.fault is not None for w in trials) for trials in walks]
    successes = [_share(not w.failures for w in trials) for trials in walks]
    away = [_mean([w.away_m for w in trials if w.away_m is not None]) for trials in walks]
    errors = [_mean([w.velocity_error for w in trials if w.velocity_error is not None]) for trials in walks]
    costs = [_mean([w.cost_of_transport for w in trials]) for trials in walks]
    return [
        over_seeds("stand-in robot: falls or faults", falls, "%", must=bound[0], aim=bound[1],
                   peer=f"{len(walks[0])} walks each"),
        over_seeds("stand-in robot: walks that succeed, by the mission's bounds", successes, "%"),
        over_seeds("stand-in robot: end of the walk missed by", away, "m"),
        over_seeds("stand-in robot: velocity error", errors, "m/s"),
        over_seeds("stand-in robot: cost of transport", costs, ""),
    ]  # fmt: skip


def _share(whether: Iterable[bool]) -> float:
    """How many of them it is true of, %."""
    return 100 * _mean([float(each) for each in whether])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.inf
