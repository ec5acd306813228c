"""Sensor-to-command time over DDS at 100 Hz, beside a bare echo of the same messages.

A stand-in robot, the policy node and a mission fly as three processes; the robot times each odom until its command
comes back. Then a process that does nothing else answers the same messages: the limit of this machine and middleware.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common import BenchOptions, Row, parse, report

from isthmus_deploy.ros import realtime

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Measure sensor-to-command time."""

    policy: Path | None = None
    """Policy file; without one, a hand-made controller that needs no training."""
    seconds: float = 20.0
    """Length of the flight, and of the echo, s."""
    seed: int = 7
    """Body of the stand-in robot."""
    realtime: bool = True
    """Real-time scheduling for robot, node and echo, as on a robot, where the machine permits it."""


QUICK = Options(seconds=2.0)


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.randrange(1, 100)))
    with tempfile.TemporaryDirectory() as folder:
        robot, node = fly(options, Path(folder))
        limit = echo(options, Path(folder))
    return report("latency", rows(robot, node, limit), options)


def rows(robot: dict, node: dict, limit: dict) -> list[Row]:
    """The table, in ms."""
    latency, inside = robot["sensor_to_command"], node["reading_to_command"]
    loop = node["loop"]
    return [
        _row("sensor to command, p50", latency["p50_us"], f"bare echo {limit['p50_us'] / 1e3:.2f} ms"),
        _row("sensor to command, p99", latency["p99_us"], f"bare echo {limit['p99_us'] / 1e3:.2f} ms", must="<= 2"),
        _row("sensor to command, max", latency["max_us"], f"bare echo {limit['max_us'] / 1e3:.2f} ms"),
        _row("in the node: reading to command, p99", inside["p99_us"]),
        _row("in the node: guard, policy and filter, p50", node["sections"]["policy"]["p50_us"]),
        Row(metric="readings that came late or never", value=loop["missed_readings"], unit=f"of {loop['cycles']}"),
        Row(metric="overruns", value=loop["overruns"], unit=f"of {loop['cycles']}"),
    ]


def _row(metric: str, microseconds: float, peer: str | None = None, must: str | None = None) -> Row:
    return Row(metric=metric, value=microseconds / 1e3, unit="ms", must=must, peer=peer)


def fly(options: Options, folder: Path) -> tuple[dict, dict]:
    """Hover for a while; what robot and node measured."""
    policy = options.policy or hand_made_policy(folder)
    robot = start(options, "stand_in_robot", "--seed", options.seed, "--log", folder / "robot.json")
    logged = ("--log", folder / "node.json", "--record-in", folder / "flights")
    node = start(options, "node.policy_node", policy, *logged, "--wait-s", 60)
    # The mission is the operator's, not the robot's: it never gets real-time scheduling.
    plan = ("--plan.laps", "0", "--plan.hover-s", str(options.seconds), "--limits.hover-m", "0.5", "--wait-s", "60")
    mission = subprocess.run([sys.executable, "-m", "isthmus_deploy.ros.missions.flight", *plan])
    for process in (node, robot):
        process.terminate()
        process.wait()
    if mission.returncode:
        raise SystemExit("the flight failed, so its timing says nothing")
    return tuple(json.loads((folder / f"{name}.json").read_text()) for name in ("robot", "node"))  # pyright: ignore


def echo(options: Options, folder: Path) -> dict:
    """The limit."""
    arguments = ("--duration-s", options.seconds, "--log", folder / "echo.json")
    start(options, "bench_echo", *arguments).wait()
    return json.loads((folder / "echo.json").read_text())


def start(options: Options, module: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Start one of the ROS commands."""
    command = [sys.executable, "-m", f"isthmus_deploy.ros.{module}", *map(str, arguments)]
    return subprocess.Popen((realtime.prefix() if options.realtime else []) + command)


def hand_made_policy(folder: Path) -> Path:
    """The controller of the ROS tests as a policy file."""
    sys.path.insert(0, str(ROOT / "tests" / "deploy" / "ros"))
    from hand_made_policy import policy_file  # pyright: ignore[reportMissingImports]

    path = folder / "hand_made.onnx"
    path.write_bytes(policy_file())
    return path


if __name__ == "__main__":
    raise SystemExit(main())
