"""`isthmus-train TASK`: train a policy in simulation."""

from __future__ import annotations

import dataclasses
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from isthmus_deploy.machine_load import machine_load
from isthmus_policies.algorithms.ppo import PPOConfig
from isthmus_policies.files import write_json
from isthmus_policies.networks.actor_critic import NetworkConfig
from isthmus_policies.training import distributed
from isthmus_policies.training.diverged import DivergedError
from isthmus_policies.training.logs import Log
from isthmus_policies.training.trainer import TrainConfig, Trainer
from isthmus_sim.robots.models import load_model
from isthmus_sim.tasks import TASKS
from isthmus_sim.threads import use_thread_budget

WALKING = TrainConfig(
    task="quadruped",
    iterations=900,
    episode_steps=None,
    network=NetworkConfig(actor=(128, 128), critic=(128, 128), activation="elu", hidden_gain=0.85, initial_std=0.5),
    ppo=PPOConfig(horizon=24, epochs=2, minibatches=4, lam=0.95, kl_target=(0.02, 0.006), symmetry=True),
)
DEFAULTS: dict[str, TrainConfig] = {
    "quadrotor": TrainConfig(task="quadrotor"),
    # A policy for a real airframe follows trajectories rather than saves itself from the worst starts: longer
    # episodes, and more of the curriculum, which is where precision comes from.
    "quadrotor-randomized": TrainConfig(
        task="quadrotor-randomized", iterations=700, episode_steps=200, curriculum_end=0.6
    ),
    "quadruped": WALKING,
    "quadruped-rough": dataclasses.replace(WALKING, task="quadruped-rough", num_envs=1024),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train a policy. Ctrl-C stops after the current iteration and leaves a checkpoint to go on from."""

    config: Annotated[TrainConfig, tyro.conf.OmitArgPrefixes]
    run: Path | None = None
    """Folder of the run; by default runs/TASK/DATE-TIME-seedN."""
    resume: bool = False
    """Go on from the checkpoint in --run, with the configuration it was started with."""


class StopRequest:
    """While entered, turns the first Ctrl-C (or SIGTERM) into a request to stop between iterations; a second one is as
    usual."""

    asked = False

    def __enter__(self) -> StopRequest:
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def anywhere(self) -> bool:
        """Whether any process was asked to stop: then all do, after the same iteration."""
        return distributed.total(self.asked) != [0.0]

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(number, signal.default_int_handler)


def train(trainer: Trainer, folder: Path, console: Console | None = None) -> bool:
    """Run `trainer` to its end in `folder`, with logs and checkpoints. False when it was stopped before the end.
    Raises DivergedError and OSError."""
    config, console = trainer.config, console or Console()
    if note := machine_load(own=distributed.size()).speed_note():
        console.print(note, soft_wrap=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    log = Log(folder, trainer.columns, trainer.iteration)
    columns = (
        TextColumn("[bold]training[/]"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with StopRequest() as stop, Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=config.iterations, completed=trainer.iteration)
        while trainer.iteration < config.iterations and not stop.anywhere():
            row = trainer.iterate()
            log.write(row)
            trainer.dump_diverged(folder)
            progress.update(bar, completed=trainer.iteration, description=_line(row))
            if trainer.iteration % config.checkpoint_every == 0:
                trainer.save(folder)
        trainer.save(folder)
    log.close()
    return trainer.iteration >= config.iterations


def follow(trainer: Trainer, folder: Path) -> bool:
    """`train` in the processes that do not lead: the same iterations, nothing printed, logged or saved."""
    with StopRequest() as stop:
        while trainer.iteration < trainer.config.iterations and not stop.anywhere():
            trainer.iterate()
            trainer.dump_diverged(folder)
    return trainer.iteration >= trainer.config.iterations


def _line(row: dict[str, float]) -> str:
    rate = row["steps"] / max(row["seconds"], 1e-9)
    episode = (
        f"episode {row['episode/length']:5.1f} steps, return {row['episode/return']:7.1f}"
        if "episode/length" in row
        else ""
    )
    return f"{row['steps'] / 1e6:5.2f}M steps  {rate / 1e3:4.0f}k/s  {episode}"


def _trainer(options: Options) -> tuple[Trainer, Path]:
    folder = options.run or Path("runs") / options.config.task / time.strftime(
        f"%Y%m%d-%H%M%S-seed{options.config.seed}"
    )
    if options.resume:
        if options.run is None:
            raise ValueError("--resume needs --run FOLDER: the run to go on with")
        return Trainer.resume(folder), folder
    if distributed.leads() and folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; choose another --run, or go on with it: --resume")
    return Trainer(options.config), folder


def main() -> None:
    """Entry point of `isthmus-train`."""
    options = parse(sys.argv[1:])
    use_thread_budget()
    distributed.start()
    console = Console(quiet=not distributed.leads())
    try:
        for change in load_model(options.config.model).changes:
            console.print(f"model: {change}")
        trainer, folder = _trainer(options)
    except (ValueError, OSError) as error:
        sys.exit(f"isthmus-train: {error}")
    try:
        finished = train(trainer, folder, console) if distributed.leads() else follow(trainer, folder)
    except (DivergedError, OSError) as error:
        sys.exit(f"isthmus-train: {error}")
    console.print(f"{trainer.steps / 1e6:.2f}M steps in {trainer.seconds:.1f} s → [bold]{folder}[/]")
    if not finished:
        console.print(
            f"stopped at iteration {trainer.iteration}; go on with: "
            f"isthmus-train {trainer.config.task} --run {folder} --resume"
        )
        sys.exit(130)
    console.print(f"next: isthmus-play {folder}   ·   isthmus-export {folder}")


def parse(arguments: list[str]) -> Options:
    """The command line. An unknown task or option ends the program with the valid ones."""
    trainable = {name: DEFAULTS[name] for name in TASKS if name in DEFAULTS}
    configs = {
        name: (f"{config.iterations} iterations by default", Options(config=config))
        for name, config in trainable.items()
    }
    return tyro.extras.overridable_config_cli(configs, args=arguments, prog="isthmus-train")


if __name__ == "__main__":
    main()
