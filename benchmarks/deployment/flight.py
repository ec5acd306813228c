"""A flight of the stand-in robot: three processes as on a robot, and beside them a loop that only sleeps."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hand_made_policy

from deployment.memory import resident_kib, tree
from isthmus_deploy.ros import realtime

NODE, WATCHDOG = "isthmus_deploy.ros.node.policy_node", "isthmus_deploy.ros.watchdog.process"
RECORDER = "isthmus_deploy.flight.writer"
"""Modules of the node's processes; the recorder is the last to be started, when the loop begins."""

_BARE_LOOP = Path(__file__).with_name("bare_loop.py")
_WAIT_S = 60

Measured = dict[str, Any]
"""What a process has written down of itself."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """How it is flown: with a hand-made policy, which needs no training, unless a file is given."""

    seconds: float
    """How long it hovers, s."""
    policy: Path | None = None
    period_s: float = 0.01
    """Control period, s, of the robot and of the hand-made policy."""
    realtime: bool = True
    """Real-time scheduling for robot, node, bare loop and echo, as on a robot, where the machine permits it."""
    seed: int = 7
    """Body of the stand-in robot."""
    warm_s: float | None = None
    """After so long the node has all the memory that it needs, s, and is looked at; None for not at all."""


@dataclass(frozen=True, kw_only=True)
class Flown:
    """What robot, node and bare loop have measured; and KiB that each process of the node's has grown by, by its
    module: none where that was not looked at. A flight that has failed was timed until then."""

    succeeded: bool
    robot: Measured
    node: Measured
    bare: Measured
    grown_kib: dict[str, int] = field(default_factory=dict)


def fly(case: Case, folder: Path) -> Flown:
    """Hover for a while. Ends the program where the node does not get so far."""
    policy = case.policy or _hand_made(case, folder)
    timed = ("--control-period-s", case.period_s)
    logs = {name: folder / f"{name}.json" for name in ("robot", "node", "bare")}
    with ExitStack() as processes:
        stand_in = _module("stand_in_robot", "--seed", case.seed, *timed, "--log", logs["robot"])
        processes.enter_context(_running(_scheduled(stand_in, case)))
        told = ("--record-in", folder / "flights", "--log", logs["node"], "--wait-s", _WAIT_S)
        driving = _module("node.policy_node", policy, *told, "--realtime" if case.realtime else "--no-realtime")
        node = processes.enter_context(_running(driving))
        _wait_for_loop(node)
        bare = [sys.executable, str(_BARE_LOOP), "--period-s", str(case.period_s), "--log", str(logs["bare"])]
        processes.enter_context(_running(_scheduled(bare, case)))
        mission = subprocess.Popen(_mission(case))
        grown_kib = _watch(mission, node.pid, case.warm_s)
    measured = {name: json.loads(log.read_text()) for name, log in logs.items()}
    return Flown(**measured, succeeded=mission.returncode == 0, grown_kib=grown_kib)


def echo(case: Case, seconds: float, folder: Path) -> Measured:
    """The limit of this machine and middleware: a process that does nothing else answers the same messages."""
    log = folder / "echo.json"
    timed = ("--duration-s", seconds, "--period-s", case.period_s, "--wait-s", _WAIT_S)
    subprocess.run(_scheduled(_module("bench_echo", *timed, "--log", log), case), check=True)
    return json.loads(log.read_text())


def _wait_for_loop(node: subprocess.Popen[bytes]) -> None:
    """Until the node ticks: what comes before would be counted as the bare loop's jitter, but not as the node's."""
    while RECORDER not in tree(node.pid):
        if node.poll() is not None:
            raise SystemExit("the node has ended, so there is nothing to time")
        time.sleep(0.1)


def _mission(case: Case) -> list[str]:
    """The operator's process: never with real-time scheduling, since it is none of the robot's. It is patient with a
    hand-made policy, which is gentle, not good."""
    plan = ("--plan.laps", 0, "--plan.hover-s", case.seconds, "--limits.hover-m", 1, "--limits.landing-m", 1)
    return _module("missions.flight", *plan, "--wait-s", _WAIT_S)


def _watch(mission: subprocess.Popen[bytes], node: int, warm_s: float | None) -> dict[str, int]:
    """How much memory the node's processes have grown by, from when they were warm until the mission's end."""
    try:
        mission.wait(warm_s)
    except subprocess.TimeoutExpired:
        before = _resident(node)
        mission.wait()
        return {module: kib - before[module] for module, kib in _resident(node).items()}
    return {}


def _resident(node: int) -> dict[str, int]:
    return {module: resident_kib(pid) for module, pid in tree(node).items()}


def _hand_made(case: Case, folder: Path) -> Path:
    path = folder / "hand_made.onnx"
    path.write_bytes(hand_made_policy.policy_file(control_period_s=case.period_s))
    return path


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run it as long as the block does, and let it write down what it has measured."""
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _scheduled(command: list[str], case: Case) -> list[str]:
    return (realtime.prefix() if case.realtime else []) + command


def _module(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"isthmus_deploy.ros.{name}", *map(str, arguments)]
