"""`isthmus-imitate RUN`: a policy of chunks learns what a policy that was trained by reward does, such as from cameras
what the other one does with all that the simulation knows."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.recording.robot_columns import camera_name
from isthmus_policies.chunks.encoder import EncoderConfig
from isthmus_policies.chunks.training.command import finish
from isthmus_policies.chunks.training.config import AnyConfig, Learning, RollOuts, default_config
from isthmus_policies.chunks.training.trainer import ChunkTrainer
from isthmus_policies.evaluation import roll_out
from isthmus_policies.training.config import Chosen
from isthmus_policies.training.run import load_run
from isthmus_policies.training.worlds import robot_named
from isthmus_sim.task import Task
from isthmus_sim.tasks import TASKS, make_task
from isthmus_sim.threads import use_thread_budget

PROGRAM = "isthmus-imitate"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train a policy of chunks to do what a policy does that isthmus-train trained.

    First it learns from the teacher's episodes. Then, round by round, it begins episodes itself, the teacher takes over
    at a random moment, and it learns from how that goes on, too: what to do where only a student comes to (DAgger, Ross
    et al. 2011). It reads the robot's numbers, and sees its cameras.
    """

    teacher: Annotated[Path, tyro.conf.Positional]
    """Run of the teacher. It may know what a robot does not."""
    run: Path | None = None
    """Folder of the student's run; by default beside the teacher's, with -student and the time."""
    task: str | None = None
    """Registered name of the task; by default the one that the teacher was trained for."""
    robot: str | None = None
    """The student's robot, as isthmus-train --robot takes it: one that has cameras, say. By default the teacher's."""
    rounds: int = 2
    """How often the student begins and the teacher takes over."""
    episodes: int = 800
    """So many of the teacher's are learned from in each round, and before the first one."""
    only_success: bool = True
    """Whether only those are kept that reach the task's goal, where it has one."""
    begun_s: float = 2.0
    """At the latest after so long the teacher takes over, s."""
    worlds: int = 64
    """So many episodes side by side."""
    training: bool = True
    """Whether what happens only in training happens here, such as looks that change from step to step."""
    method_name: Chosen = "cloning"
    """Registered name of the student's method, with its usual settings. A teacher does a thing in one way, so its mean
    is what to do."""
    denoiser_name: Chosen = "mlp"
    """Registered name of the student's denoiser, with its usual settings."""
    observed: int = 1
    """Rows of an observation, up to the current step."""
    horizon: int = 8
    """Actions of a chunk."""
    encoder: EncoderConfig = field(default_factory=lambda: EncoderConfig(width=256))
    learning: Learning = field(default_factory=lambda: Learning(steps=2_000, rate=3e-3, batch_size=128, average=0.99))
    """How the student learns in each round."""
    tries: int = 100
    """Episodes in which the student is tried after each round, where its robot is the task's own."""
    seed: int = 0
    """Seed of everything random."""
    torch_threads: int = 2

    def __post_init__(self) -> None:
        if self.rounds < 0 or self.episodes < 2:
            raise ValueError(f"there are 0 rounds or more, of 2 episodes or more: {self}")


def imitate(options: Options, folder: Path, console: Console) -> int | str:
    """All rounds; what the program exits with. Raises ValueError, OSError and DatasetError."""
    taught = load_run(options.teacher).config
    name = options.task or taught.name
    robot = options.robot or taught.robot or TASKS[name].robot
    task = make_task(name, robot=robot_named(robot, name))
    datasets: tuple[Path, ...] = ()
    before: Path | None = None
    for round_ in range(options.rounds + 1):
        datasets = (*datasets, folder / "demonstrations" / str(round_))
        roll_out.record(_shown(options, task, robot, datasets[-1], before, round_), console)
        trainer = ChunkTrainer(student_config(options, task, datasets, name if robot == TASKS[name].robot else None))
        if before is not None:
            trainer.begin_with(before)
        before = folder if round_ == options.rounds else folder / "rounds" / str(round_)
        if code := finish(trainer, before, console, PROGRAM):
            return code
    return 0


def _shown(
    options: Options, task: Task, robot: str, dataset: Path, before: Path | None, round_: int
) -> roll_out.Options:
    """What the teacher shows in a round."""
    return roll_out.Options(
        run=options.teacher, dataset=dataset, task=options.task, robot=robot,
        images=any(signal.dtype == "uint8" for signal in task.robot.signals), training=options.training,
        begun_by=before, begun_s=options.begun_s, episodes=options.episodes,
        only_success=options.only_success and task.has_goal, least=options.horizon, worlds=options.worlds,
        seed=1_000_000 * (options.seed + 1) + 10_000 * round_,
    )  # fmt: skip


def student_config(options: Options, task: Task, datasets: tuple[Path, ...], tried_on: str | None) -> AnyConfig:
    """How the student learns from what was shown so far. Raises ValueError for an unknown name."""
    cameras = [signal for signal in task.robot.signals if signal.dtype == "uint8"]
    largest = [max(camera.shape[axis] for camera in cameras) for axis in (0, 1)] if cameras else [1, 1]
    steps = options.learning.steps
    return default_config(
        tuple(path.absolute() for path in datasets), options.method_name, options.denoiser_name,
        cameras=tuple(camera_name(camera.name) for camera in cameras), size=(largest[0], largest[1]),
        observed=options.observed, horizon=options.horizon, encoder=options.encoder, learning=options.learning,
        crop=0, recolor=False,  # simulation changes cameras and looks itself, and knows what they do to the action
        # What the student needs of an action may lie beyond what was shown before; joints may rest.
        scaling="mean_std", constant="keep",
        validation=max(0.05, 1 / options.episodes), checkpoint_every=steps,
        seed=options.seed, torch_threads=options.torch_threads,
        roll_outs=RollOuts(task=tried_on, every=steps, episodes=options.tries),
    )  # fmt: skip


def main() -> None:
    """Entry point of `isthmus-imitate`."""
    try:
        options = tyro.cli(Options, prog=PROGRAM)
        use_thread_budget()
        folder = options.run or options.teacher.with_name(
            f"{options.teacher.name}-student-{time.strftime('%Y%m%d-%H%M%S')}"
        )
        if folder.exists() and any(folder.iterdir()):
            raise ValueError(f"{folder} is not empty; choose another --run")
        code = imitate(options, folder, Console())
    except (DatasetError, ValueError, OSError) as error:
        sys.exit(f"{PROGRAM}: {error}")
    sys.exit(code)


if __name__ == "__main__":
    main()
