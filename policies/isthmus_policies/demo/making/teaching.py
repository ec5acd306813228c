"""A policy that is taught while a robot acts: demonstrations, then actor and learner in two processes, and a script
that takes over as a person would.

As `isthmus-record`, `isthmus-train --algorithm sac-robot` and `isthmus-act` do it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from isthmus_policies.actor_learner.script import ScriptConfig
from isthmus_policies.demo.making.gathering import Wanted, check_given, gather
from isthmus_policies.demo.making.making import Order, changed_options
from isthmus_policies.demo.processes import Process, ProcessError
from isthmus_policies.demo.report.html import Fact
from isthmus_policies.demo.report.record import MADE, Demo
from isthmus_policies.demo.report.teaching import intervened, succeeded
from isthmus_policies.demonstrate import readings
from isthmus_policies.files import plain, write_json
from isthmus_policies.training.logs import read_metrics

DATASET, TRANSITIONS, EXCHANGE, DONE = "demonstrations", "transitions", "exchange", "done"
_LEARNER_LOG, _ACTOR_LOG = "learner.log", "actor.log"
_START_S, _POLL_S = 120.0, 0.5
_END_S = 60.0
"""For the last episode to end, and the checkpoint to be written."""
_INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class TeachingOptions:
    """What is shown, and for how long it is taught."""

    demonstrations: Path | None = None
    """A dataset's folder; by default what make teleop recorded for the task, where that is enough, and otherwise what a
    script shows in simulation."""
    episodes: int = 20
    """How many a script shows."""
    minutes: float = 15.0
    """How long the robot acts and learns, in real time."""
    tries: int = 100
    """Episodes in simulation in which the policy is tried."""


@dataclass(frozen=True, kw_only=True)
class ByTeaching:
    """Demonstrations, then practice."""

    script: ScriptConfig
    """When the script takes over."""
    learner: tuple[str, ...] = ()
    """What isthmus-train is told beside the algorithm."""
    enough: int = 20
    """So many episodes by hand are taken rather than a script's."""
    options: TeachingOptions = field(default_factory=TeachingOptions)
    leaves: tuple[str, ...] = (DATASET, TRANSITIONS, EXCHANGE, DONE, _LEARNER_LOG, _ACTOR_LOG, MADE)

    def check(self, options: TeachingOptions, out: Path) -> None:
        """Raise ValueError for numbers that cannot be, and for demonstrations that are not there or would be lost."""
        if options.episodes < 2 or options.tries < 2 or options.minutes <= 0.0:
            raise ValueError("--episodes and --tries must be at least 2, and --minutes above 0")
        if options.demonstrations is not None:
            check_given(options.demonstrations, out)

    def make(self, order: Order, options: TeachingOptions) -> bool:
        """Show, then let it practise. Raises DatasetError, RecordingError, ProcessError, ValueError, OSError."""
        out, console = order.out, order.console
        wanted = Wanted(
            task=order.task, scripted=order.trained, given=options.demonstrations, enough=self.enough,
            episodes=options.episodes, images=False, seed=order.seed,
        )  # fmt: skip
        gathered = gather(wanted, out / DATASET, console)
        told = readings.Options(task=order.trained, recorded=gathered.folder, dataset=out / TRANSITIONS)
        console.print(readings.convert(told), highlight=False, soft_wrap=True)
        with self._learner(order) as learner, self._actor(order, learner) as actor:
            self._practise(order, options, learner, actor)
        write_json(out / MADE, {"demonstrations": plain(gathered), "options": plain(options)})
        return True

    @contextmanager
    def _learner(self, order: Order) -> Iterator[Process]:
        out = order.out
        arguments = (
            order.trained, "--algorithm", "sac-robot", "--run", order.run, "--seed", order.seed,
            "--algorithm.exchange", out / EXCHANGE, "--algorithm.demonstrations", out / TRANSITIONS, *self.learner,
        )  # fmt: skip
        learner = Process("learner", "isthmus_policies.training.train", arguments, out / _LEARNER_LOG)
        try:
            _await(order.run / "config.json", learner)
            _await(out / EXCHANGE / "experience", learner)
            yield learner
        finally:
            learner.end(_END_S)
        learner.require_success(_INTERRUPTED)

    @contextmanager
    def _actor(self, order: Order, learner: Process) -> Iterator[Process]:
        said = {"probability": self.script.probability, "patience": self.script.patience}
        said["duration"] = self.script.duration
        script = [item for name, value in said.items() for item in (f"--script.{name}", value)]
        arguments = (order.run, order.out / DONE, "--seed", 1000 * order.seed + 500, *script)
        actor = Process("actor", "isthmus_policies.actor_learner.command", arguments, order.out / _ACTOR_LOG)
        try:
            yield actor
        finally:
            actor.end(_END_S)  # before the learner, so that the last it did is learned from
        actor.require_success()

    def _practise(self, order: Order, options: TeachingOptions, learner: Process, actor: Process) -> None:
        """Let both run for so many minutes. Raises ProcessError where one of the two has ended before."""
        told = TextColumn("{task.description}")
        columns = (TextColumn("[bold]practising[/]"), BarColumn(), TimeRemainingColumn(), told)
        begun, length_s = time.monotonic(), 60 * options.minutes
        with Progress(*columns, console=order.console, refresh_per_second=2) as progress:
            bar = progress.add_task("", total=length_s)
            while (lasted := time.monotonic() - begun) < length_s:
                _require_running(learner)
                _require_running(actor)
                progress.update(bar, completed=lasted, description=_line(order.run))

    def exporting(self, options: TeachingOptions) -> tuple[object, ...]:
        """The graph is tried as often as asked for."""
        return ("--episodes", options.tries)

    def facts(self, demo: Demo) -> list[Fact]:
        """What was shown, how long it practised, and how often somebody drove at first and at last."""
        return [_shown(demo), _practised(demo), _driven(demo)]

    def again(self, demo: Demo) -> str:
        """The options that were not left as they are."""
        return changed_options(self.options, demo)


def _await(path: Path, process: Process) -> None:
    """Wait until a process has made a file. Raises ProcessError where it ends, or takes too long."""
    until = time.monotonic() + _START_S
    while not path.exists():
        if process.ended(_POLL_S):
            process.require_success()
        if time.monotonic() > until:
            raise ProcessError(f"{process.name} has not begun within {_START_S:g} s (see {process.log})")


def _require_running(process: Process) -> None:
    if process.ended(_POLL_S / 2):
        process.require_success()
        raise ProcessError(f"{process.name} has ended before its time (see {process.log})")


def _line(run: Path) -> str:
    rows = read_metrics(run)
    if not rows:
        return ""
    share = rows[-1].get("robot/intervened")
    told = "" if share is None else f", the script drives {share:.0%}"
    return f"{rows[-1]['steps']:.0f} control steps{told}"


def _shown(demo: Demo) -> Fact:
    found = demo.made.get("demonstrations")
    if not found:
        return Fact(label="Demonstrations", value="not recorded", detail="the policy was not made here")
    done = f"; {found['succeeded']} of them did the task" if found["succeeded"] is not None else ""
    minutes = found["steps"] / found["fps"] / 60
    detail = f"{found['told']}, {minutes:.1f} min{done}"
    return Fact(label="Demonstrations", value=f"{found['episodes']} episodes", detail=detail)


def _practised(demo: Demo) -> Fact:
    label = "Practice"
    if not demo.metrics:
        return Fact(label=label, value="not recorded", detail="the run holds no metrics.csv")
    last = demo.metrics[-1]
    detail = f"{last['steps']:.0f} control steps of the robot, learned from in a process beside it"
    return Fact(label=label, value=f"{last['seconds'] / 60:.1f} min", detail=detail)


def _driven(demo: Demo) -> Fact:
    label, shares, done = "Somebody else drove", intervened(demo.metrics), succeeded(demo.metrics)
    if len(shares) < 2:
        return Fact(label=label, value="not known", detail="too little was done to tell")
    detail = f"of the steps, in the last tenth of the practice; in the first tenth {100 * shares[0]:.0f} %"
    if done:
        detail += f". {100 * done[-1]:.0f} % of the last tenth's episodes succeeded, whoever drove"
    return Fact(label=label, value=f"{100 * shares[-1]:.0f} %", detail=detail)
