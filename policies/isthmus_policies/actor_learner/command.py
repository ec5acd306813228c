"""`isthmus-act RUN DATASET`: the actor. The robot is driven by the policy that `isthmus-train --algorithm sac-robot`
improves meanwhile in another process."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.recording.operator import Event, Operator
from isthmus_datasets.recording.outcome import RecordingError
from isthmus_datasets.recording.rate import VirtualClock, WallClock
from isthmus_datasets.recording.recorder import Recorder
from isthmus_datasets.recording.robot import CameraError
from isthmus_datasets.recording.robot_columns import next_seed, open_dataset
from isthmus_datasets.teleop.operators.take_over import TakeOver
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_policies.actor_learner.actor import Actor
from isthmus_policies.actor_learner.driver import ActorDriver
from isthmus_policies.actor_learner.experience import Experience
from isthmus_policies.actor_learner.learning_run import LearningRun
from isthmus_policies.actor_learner.script import ScriptConfig, ScriptedHuman
from isthmus_policies.demonstrate.demonstration import MeasuredRobot, find_demonstration
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_policies.demonstrate.ros2.options import Ros2Options, connect
from isthmus_policies.success.classifier import load_classifier
from isthmus_policies.success.robot import ClassifiedRobot
from isthmus_policies.training.stop_request import StopRequest
from isthmus_sim.engine import UnsupportedError
from isthmus_sim.registry import RegistryError
from isthmus_sim.task import Task
from isthmus_sim.threads import use_thread_budget

PROGRAM = "isthmus-act"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Let a robot act while its policy is learned in another process, and record what it does. Whoever would take over
    by hand uses isthmus-teleop --learn RUN instead."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run that its learner, isthmus-train --algorithm sac-robot, writes."""
    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder of the dataset of what was done, new or to go on with."""
    episodes: int | None = None
    """How many; by default until Ctrl-C."""
    seed: int | None = None
    """Seed of the first episode; each has one more than the one before. By default 0, or the next after the dataset's
    own."""
    real_time: bool = True
    """Whether a simulated robot keeps its rate. Otherwise it acts as fast as it can, and leaves the learner less time
    for each transition."""
    success: Path | None = None
    """File by isthmus-train-success: a camera tells when the task is done, and that is rewarded with 1."""
    script: ScriptConfig = field(default_factory=ScriptConfig)
    """The task's script that takes over."""
    robot: Annotated[Ros2Options, tyro.conf.OmitArgPrefixes] = field(default_factory=Ros2Options)
    patience_s: float = 30.0
    """The robot is stopped when the learner was silent for so long, s."""


def act(options: Options, console: Console) -> str:
    """Act; a line that says what was done.

    Raises:
        ValueError, OSError: there is no such run, its learner has not begun, or somebody acts for it already.
        RecordingError: an episode could not go on; the robot is safe.
        DatasetError, RegistryError, UnsupportedError, CameraError, Refusal: as `isthmus-record`.
    """
    run = LearningRun.of(options.run)
    task, words = run.task, find_demonstration(run.task.name).words
    robot = _robot(options, task)
    rate = round(1 / task.robot.control_period_s)
    clock = WallClock() if options.real_time or options.robot.ros else VirtualClock()
    with (
        closing(robot),
        closing(run.experience()) as experience,
        closing(make_actor(options, run, robot, experience)) as actor,
        open_dataset(options.dataset, robot.features, fps=rate) as writer,
        Recorder(robot, actor, writer, task=words, clock=clock) as recorder,
    ):
        first = next_seed(options.dataset) if options.seed is None else options.seed
        _episodes(recorder, options, first, console)
        summary = recorder.summary()
    share = actor.interventions / max(1, actor.transitions)
    return f"{options.dataset}: {summary.saved} episodes, {actor.transitions} transitions, {share:.0%} by the script"


def _episodes(recorder: Recorder, options: Options, seed: int, console: Console) -> None:
    with StopRequest() as stop:
        done = 0
        while not stop.asked and (options.episodes is None or done < options.episodes):
            outcome = recorder.record(seed + done)
            done += 1
            if console.is_terminal and outcome.ending is not None:
                console.print(f"episode {done}: {outcome.steps} steps, {outcome.ending.value}", highlight=False)
            if outcome.event is Event.QUIT:
                return


def _robot(options: Options, task: Task) -> MeasuredRobot:
    options.robot.refuse_unused()
    classifier = load_classifier(options.success) if options.success else None
    if options.robot.ros:
        robot = connect(options.robot, task.robot)
    else:
        robot = EnvRobot(task, cameras=find_demonstration(task.name).view_maker(()) if classifier else None)
    return ClassifiedRobot(robot, classifier) if classifier else robot


def make_actor(options: Options, run: LearningRun, robot: MeasuredRobot, experience: Experience) -> Actor:
    """What drives a robot while it learns. Raises ExchangeError where there is no learner, RegistryError where the task
    has no script, UnsupportedError where none can drive."""
    driver = ActorDriver(run, robot.signals, patience_s=options.patience_s)
    hands: Operator = driver
    if options.script.probability > 0.0:
        if options.robot.ros:
            raise UnsupportedError("a script sees what only a simulator tells: it cannot take over with --ros")
        demonstration = find_demonstration(run.task.name, "script")
        assert demonstration.script is not None
        noise = demonstration.noise if options.script.noise is None else options.script.noise
        script = demonstration.script(noise, options.script.skill)
        hands = TakeOver(ScriptedHuman(script, options.script), driver)
    return Actor(hands, driver, experience, steps=run.task.episode_steps)


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    try:
        options = tyro.cli(Options, prog=PROGRAM, args=arguments)
        use_thread_budget()
        print(act(options, Console()), flush=True)
    except (
        ValueError, RegistryError, DatasetError, RecordingError, UnsupportedError, CameraError, Refusal, OSError,
    ) as error:  # fmt: skip
        sys.exit(f"{PROGRAM}: {error}")


if __name__ == "__main__":
    main()
