"""`isthmus-demo`: the whole way in one command: learn, export, drive a robot over ROS 2, report."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from isthmus_datasets.recording.outcome import RecordingError
from isthmus_deploy.policy import policy_file
from isthmus_deploy.ros import ros2
from isthmus_deploy.timing.machine_load import machine_load
from isthmus_policies.chunks.training.run import holds_chunks
from isthmus_policies.chunks.training.trainer import NotANumber
from isthmus_policies.demo.making.making import Order
from isthmus_policies.demo.options import Choice, Options, parse
from isthmus_policies.demo.processes import Process, ProcessError, Processes
from isthmus_policies.demo.report.headlines import facts
from isthmus_policies.demo.report.kind import DemoKind
from isthmus_policies.demo.report.page import REPORT, write_report
from isthmus_policies.demo.report.record import (
    ECHO_LOG,
    EXPORT_LOG,
    NODE_LOG,
    ROBOT_LOG,
    RUN,
    THINGS,
    Demo,
    load_demo,
)
from isthmus_policies.export.export import POLICY_FILE
from isthmus_policies.training.diverged import DivergedError
from isthmus_sim.rendering.renderer import NoRendererError
from isthmus_sim.robots import ROBOTS
from isthmus_sim.tasks import TASKS
from isthmus_sim.threads import use_thread_budget

INTERRUPTED = 130
_POLL_S = 0.25
_START_S = 40.0  # for processes to find each other on a busy machine; usually it takes four seconds
_ROBOT_FILE, _FLIGHTS = "robot.toml", "flights"
_LOGS = (EXPORT_LOG, "robot.log", "node.log", "mission.log", "echo.log")


class DemoError(RuntimeError):
    """A part of the demo failed; the message gives the cause and where to read more."""


def main() -> None:
    """Entry point of `isthmus-demo`."""
    choice, options = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the processes are ended too
    console = Console()
    ros2.run(lambda: _run(choice, options, console), name="isthmus-demo")


def _run(choice: Choice, options: Options, console: Console) -> int:
    ros2.require()  # now, not after the training
    use_thread_budget()
    try:
        return run(choice, options, console)
    except (DemoError, ProcessError, DivergedError, NotANumber, RecordingError, OSError, ValueError) as error:
        console.print(f"[bold red]isthmus-demo:[/] {escape(str(error))}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("isthmus-demo: interrupted; its processes are stopped")
        return INTERRUPTED


def run(choice: Choice, options: Options, console: Console) -> int:
    """The whole demo; returns the exit status.

    Raises DemoError, ProcessError, DivergedError, NotANumber, RecordingError, OSError, ValueError, KeyboardInterrupt.
    """
    begun = time.monotonic()
    kind = choice.kind
    _clear(options.out, kind)
    if options.run is not None:
        shutil.copytree(options.run, options.out / RUN)
    elif not _make(choice, options, console):
        return INTERRUPTED
    with Processes(options.out) as processes:
        _export(choice, options, processes, console)
        _carry_out(choice, options, processes, console)
        _measure_echo(options, processes, console)
    demo = load_demo(options.out, choice.task, kind.mission)
    _film(demo, kind, console)
    report = write_report(demo, kind)
    console.print(_table(demo, kind))
    console.print(f"report: [bold]{report}[/]   ({time.monotonic() - begun:.0f} s in all)", soft_wrap=True)
    if demo.success:
        return 0
    causes = "; ".join(demo.facts["failures"])
    raise DemoError(f"the {kind.mission} failed: {causes} (see {options.out / 'mission.log'})")


def _clear(out: Path, kind: DemoKind) -> None:
    """Remove what an earlier demo of this kind wrote, and nothing else."""
    out.mkdir(parents=True, exist_ok=True)
    files = (REPORT, _ROBOT_FILE, ROBOT_LOG, THINGS, NODE_LOG, ECHO_LOG, *_LOGS, f"{kind.mission}.mp4")
    for name in (RUN, kind.mission, _FLIGHTS, "ros_log", *files, *kind.making.leaves):
        if (out / name).is_dir():
            shutil.rmtree(out / name)
        else:
            (out / name).unlink(missing_ok=True)


# --- the steps ---


def _make(choice: Choice, options: Options, console: Console) -> bool:
    trained = choice.kind.trained(choice.task)
    order = Order(
        task=choice.task, trained=trained, out=options.out, run=options.out / RUN, seed=options.seed, console=console
    )
    return choice.kind.making.make(order, options.making)


def _export(choice: Choice, options: Options, processes: Processes, console: Console) -> None:
    run = options.out / RUN
    task = ("--task", choice.kind.trained(choice.task)) if holds_chunks(run) else ()
    making = choice.kind.making.exporting(options.making)
    export = processes.start("export", "isthmus_policies.export.export", run, *task, *making)
    _watch(export, "evaluating and exporting", None, console)
    export.require_success()


def _carry_out(choice: Choice, options: Options, processes: Processes, console: Console) -> None:
    """Start robot and node, carry out the mission, end them.

    A mission that failed is recorded; without a record it raises.
    """
    if note := machine_load().real_time_note():
        console.print(note, soft_wrap=True)
    kind, out, patience = choice.kind, options.out, ("--wait-s", _START_S)
    robot = processes.start(
        "robot", "isthmus_deploy.ros.stand_in_robot",
        "--robot", _stand_in(out), *(("--task", kind.trained(choice.task)) if kind.at_task else ()),
        "--seed", options.robot_seed, "--log", out / ROBOT_LOG,
    )  # fmt: skip
    node = processes.start(
        "node", "isthmus_deploy.ros.node.policy_node", out / RUN / POLICY_FILE,
        "--log", out / NODE_LOG, "--record-in", out / _FLIGHTS, *patience,
    )  # fmt: skip
    plan = [
        item
        for name, value in dataclasses.asdict(options.plan).items()
        for item in (f"--plan.{name.replace('_', '-')}", value)
    ]
    record = out / kind.mission
    mission = processes.start("mission", kind.operator, *plan, "--log", record, *patience)
    _watch(mission, kind.doing, options.plan.duration_s, console, needs=(robot, node))
    node.end()  # before the robot, so that its last command is the safe one
    robot.end()
    if not (record / f"{kind.mission}.npz").is_file():
        mission.require_success()
        raise DemoError(f"the mission recorded nothing (see {mission.log})")


def _stand_in(out: Path) -> str:
    """What the stand-in is told to be: the robot that the policy in the demo's folder was trained on.

    A bare model says not which robot lends it the rest, so a robot file is written that does.
    """
    contract = policy_file.read(out / RUN / POLICY_FILE).contract
    source, base = contract.provenance.robot_model, TASKS[contract.provenance.task].robot
    if source in ROBOTS or source.endswith(".toml"):
        return source
    model = source if source.startswith("menagerie:") else str(Path(source).absolute())
    content = {"name": contract.robot, "base": base, "model": model}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in content.items()]
    (out / _ROBOT_FILE).write_text("".join(lines), encoding="utf-8")
    return str(out / _ROBOT_FILE)


def _measure_echo(options: Options, processes: Processes, console: Console) -> None:
    arguments = ("--duration-s", options.echo_s, "--log", options.out / ECHO_LOG)
    echo = processes.start("echo", "isthmus_deploy.ros.bench_echo", *arguments)
    _watch(echo, "timing a bare echo", None, console)
    echo.require_success()


def _film(demo: Demo, kind: DemoKind, console: Console) -> None:
    with _progress(console) as progress:
        bar = progress.add_task("drawing the video", total=None, note="")
        try:
            kind.film(demo, lambda done, total: progress.update(bar, completed=done, total=total))
        except NoRendererError as error:
            console.print(f"no video: {error}")


def _table(demo: Demo, kind: DemoKind) -> Table:
    """The report's headlines for a terminal."""
    table = Table(title="Isthmus demo", title_justify="left")
    table.add_column("")
    table.add_column("value", justify="right", style="bold")
    table.add_column("")
    for fact in facts(demo, kind):
        table.add_row(fact.label, fact.value, fact.detail)
    return table


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
                _require_running(needed)
            if duration_s is not None:
                completed, note = update()
                progress.update(bar, completed=completed, note=note)


def _require_running(needed: Process) -> None:
    if needed.ended():
        needed.require_success()
        raise DemoError(f"{needed.name} ended during the mission (see {needed.log})")


def _mission_progress(mission: Process) -> Callable[[], tuple[float, str]]:
    """A function that tells how many seconds a mission has lasted, and what it does, from the lines it prints."""
    started_s: float | None = None

    def update() -> tuple[float, str]:
        nonlocal started_s
        notes = re.findall(r"mission: +[\d.]+ s  (.+)", mission.output())
        if not any(note.startswith("start: ") for note in notes):
            return 0.0, notes[-1] if notes else "waiting for robot and node"
        started_s = started_s or time.monotonic()
        return time.monotonic() - started_s, notes[-1]

    return update


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("[bold]{task.description}[/]"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[note]}")
    )  # fmt: skip
    return Progress(*columns, console=console, refresh_per_second=4)


if __name__ == "__main__":
    main()
