"""`isthmus-demo`: the whole way in one command: train, export, fly over ROS 2, report."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from isthmus_deploy.ros import realtime, ros2
from isthmus_deploy.ros.flight_plan import FlightPlan
from isthmus_policies.export import POLICY_FILE
from isthmus_policies.report import (
    ECHO_LOG,
    FLIGHT,
    NODE_LOG,
    REPORT,
    ROBOT_LOG,
    RUN,
    VIDEO,
    Demo,
    facts,
    load_demo,
    write_report,
)
from isthmus_policies.train import DEFAULTS, train
from isthmus_policies.trainer import Trainer
from isthmus_policies.video import flight_video
from isthmus_sim.render import NoRendererError
from isthmus_sim.threads import use_thread_budget

TASK = "quadrotor-randomized"
INTERRUPTED = 130
_POLL_S = 0.25
_START_S = 40.0  # for processes to find each other on a busy machine; usually it takes four seconds
_STOP_S = 10.0
_REAL_TIME = ("robot", "node", "echo")
_LOGS = ("export.log", "robot.log", "node.log", "mission.log", "echo.log")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train a quadrotor in simulation, export its policy, fly it over ROS 2 against a stand-in robot, write a report.

    Exits with 0 when the flight succeeded, 1 when something failed, 2 when ROS 2 is missing, 130 when interrupted.
    """

    out: Path = Path("runs/demo")
    """Folder of the results; those of an earlier demo in it are replaced."""
    seed: int = 0
    """Seed of the training."""
    robot_seed: int = 1
    """Seed of the stand-in robot's hidden body."""
    iterations: int | None = None
    """Iterations of the training; by default as many as the task is trained for."""
    echo_s: float = 5.0
    """How long to measure the bare echo, s."""
    plan: FlightPlan = field(default_factory=FlightPlan)


class DemoError(RuntimeError):
    """A part of the demo failed; the message gives the cause and where to read more."""


def main() -> None:
    """Entry point of `isthmus-demo`."""
    options = tyro.cli(Options, prog="isthmus-demo")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the processes are ended too
    console = Console()
    ros2.run(lambda: _run(options, console), name="isthmus-demo")


def _run(options: Options, console: Console) -> int:
    ros2.require()  # now, not after the training
    use_thread_budget()
    try:
        return run(options, console)
    except (DemoError, OSError, ValueError) as error:
        console.print(f"[bold red]isthmus-demo:[/] {escape(str(error))}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("isthmus-demo: interrupted; its processes are stopped")
        return INTERRUPTED


def run(options: Options, console: Console) -> int:
    """The whole demo; returns the exit status. Raises DemoError, OSError, ValueError, KeyboardInterrupt."""
    begun = time.monotonic()
    _clear(options.out)
    if not _train(options, console):
        return INTERRUPTED
    with Processes(options.out) as processes:
        _export(options, processes, console)
        _fly(options, processes, console)
        _measure_echo(options, processes, console)
    demo = load_demo(options.out)
    _film(demo, console)
    report = write_report(demo)
    console.print(_table(demo))
    console.print(f"report: [bold]{report}[/]   ({time.monotonic() - begun:.0f} s in all)", soft_wrap=True)
    if demo.flight["success"]:
        return 0
    raise DemoError(f"the flight failed: {'; '.join(demo.flight['failures'])} (see {options.out / 'mission.log'})")


def _clear(out: Path) -> None:
    """Remove what an earlier demo wrote, and nothing else."""
    out.mkdir(parents=True, exist_ok=True)
    for name in (RUN, FLIGHT, "ros_log"):
        shutil.rmtree(out / name, ignore_errors=True)
    for name in (REPORT, VIDEO, ROBOT_LOG, NODE_LOG, ECHO_LOG, *_LOGS):
        (out / name).unlink(missing_ok=True)


# --- the steps ---


def _train(options: Options, console: Console) -> bool:
    config = dataclasses.replace(DEFAULTS[TASK], seed=options.seed)
    if options.iterations is not None:
        config = dataclasses.replace(config, iterations=options.iterations)
    return train(Trainer(config), options.out / RUN, console)


def _export(options: Options, processes: Processes, console: Console) -> None:
    export = processes.start("export", "isthmus_policies.export", options.out / RUN)
    _watch(export, "evaluating and exporting", None, console)
    export.require_success()


def _fly(options: Options, processes: Processes, console: Console) -> None:
    """Start robot and node, fly the mission, end them. A flight that failed is recorded; without a record it raises."""
    out, patience = options.out, ("--wait-s", _START_S)
    robot = processes.start(
        "robot", "isthmus_deploy.ros.stand_in_robot", "--seed", options.robot_seed, "--log", out / ROBOT_LOG
    )
    node = processes.start(
        "node", "isthmus_deploy.ros.policy_node", out / RUN / POLICY_FILE, "--log", out / NODE_LOG, *patience
    )
    plan = [
        item
        for name, value in dataclasses.asdict(options.plan).items()
        for item in (f"--plan.{name.replace('_', '-')}", value)
    ]
    mission = processes.start("mission", "isthmus_deploy.ros.mission", *plan, "--log", out / FLIGHT, *patience)
    _watch(mission, "flying", options.plan.duration_s, console, needs=(robot, node))
    node.end()  # before the robot, so that its last command is the safe one
    robot.end()
    if not (out / FLIGHT / "flight.npz").is_file():
        mission.require_success()
        raise DemoError(f"the mission recorded no flight (see {mission.log})")


def _measure_echo(options: Options, processes: Processes, console: Console) -> None:
    arguments = ("--duration-s", options.echo_s, "--log", options.out / ECHO_LOG)
    echo = processes.start("echo", "isthmus_deploy.ros.bench_echo", *arguments)
    _watch(echo, "timing a bare echo", None, console)
    echo.require_success()


def _film(demo: Demo, console: Console) -> None:
    with _progress(console) as progress:
        bar = progress.add_task("drawing the video", total=None, note="")
        try:
            flight_video(
                demo.contract.robot, demo.arrays, demo.phases, demo.folder / VIDEO,
                on_frame=lambda done, total: progress.update(bar, completed=done, total=total),
            )  # fmt: skip
        except NoRendererError as error:
            console.print(f"no video: {error}")


def _table(demo: Demo) -> Table:
    """The report's headlines for a terminal."""
    table = Table(title="Isthmus demo", title_justify="left")
    table.add_column("")
    table.add_column("value", justify="right", style="bold")
    table.add_column("")
    for fact in facts(demo):
        table.add_row(fact.label, fact.value, fact.detail)
    return table


# --- processes ---


class Process:
    """`python -m module` with its output in a log file."""

    def __init__(
        self, name: str, module: str, arguments: tuple[object, ...], log: Path, prefix: list[str] | None = None
    ) -> None:
        self.name, self.log = name, log
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                [*(prefix or []), sys.executable, "-m", module, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def ended(self, timeout_s: float = 0.0) -> bool:
        """Wait at most this long for its end."""
        try:
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def end(self) -> None:
        """Ask it to end as Ctrl-C would; after some time make it."""
        if self._popen.poll() is None:
            self._popen.terminate()
            if not self.ended(_STOP_S):
                self._popen.kill()
                self._popen.wait()

    def require_success(self) -> None:
        """Raises DemoError with the last line of its output unless it has ended with 0."""
        if self._popen.returncode != 0:
            lines = self.output().strip().splitlines() or ["it said nothing"]
            status = self._popen.returncode
            raise DemoError(f"{self.name} ended with status {status}: {lines[-1]} (see {self.log})")


class Processes:
    """Processes that do not outlive the block. They share a ROS domain of their own, on this machine only."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._started: list[Process] = []
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        os.environ["ROS_DOMAIN_ID"] = str(61 + os.getpid() % 40)  # up to 101 every port is free on Linux
        os.environ["ROS_LOG_DIR"] = str((out / "ros_log").absolute())

    def start(self, name: str, module: str, *arguments: object) -> Process:
        """Start `python -m module arguments…`; its output goes to NAME.log. What controls or is timed runs in real time
        where the machine permits it, as on a robot."""
        prefix = realtime.prefix() if name in _REAL_TIME else []
        process = Process(name, module, arguments, self._out / f"{name}.log", prefix)
        self._started.append(process)
        return process

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            process.end()


def _watch(
    process: Process, title: str, duration_s: float | None, console: Console, *, needs: tuple[Process, ...] = ()
) -> None:
    """Show progress until `process` ends: of a mission `duration_s` long, or None for how long it will take.

    Raises:
        DemoError: one of the processes that it `needs` ended before it.
    """
    with _progress(console) as progress:
        bar = progress.add_task(title, total=duration_s, note="")
        update = _mission_progress(process)
        while not process.ended(_POLL_S):
            for needed in needs:
                if needed.ended():
                    needed.require_success()
                    raise DemoError(f"{needed.name} ended during the flight (see {needed.log})")
            if duration_s is not None:
                completed, note = update()
                progress.update(bar, completed=completed, note=note)


def _mission_progress(mission: Process) -> Callable[[], tuple[float, str]]:
    """A function that tells how many seconds a mission has flown, and what it does, from the lines it prints."""
    taken_off_s: float | None = None

    def update() -> tuple[float, str]:
        nonlocal taken_off_s
        notes = re.findall(r"mission: +[\d.]+ s  (.+)", mission.output())
        if "take-off" not in notes:
            return 0.0, "waiting for robot and node"
        taken_off_s = taken_off_s or time.monotonic()
        return time.monotonic() - taken_off_s, notes[-1]

    return update


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("[bold]{task.description}[/]"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[note]}")
    )  # fmt: skip
    return Progress(*columns, console=console, refresh_per_second=4)


if __name__ == "__main__":
    main()
