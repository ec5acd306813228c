"""The command line of `isthmus-train`.

What a task, a policy and an algorithm can be told depends on which ones they are. So their names are read first, then
everything else from the dataclasses that belong to them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import tyro

from isthmus_policies.algorithms.algorithm import ALGORITHMS
from isthmus_policies.networks.policy import POLICIES
from isthmus_policies.training.checkpoint import CHECKPOINT, load_checkpoint
from isthmus_policies.training.config import TrainConfig, config_from_json, config_type, default_config
from isthmus_policies.training.worlds import make_robot
from isthmus_sim.description import RobotDescription
from isthmus_sim.identify.identified_robot import read_identified_robot
from isthmus_sim.robots import ROBOTS
from isthmus_sim.sensors import SensorModel, SignalNoise
from isthmus_sim.tasks import TASKS

PROGRAM = "isthmus-train"
ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True, kw_only=True)
class Options(Generic[ConfigT]):
    """Train a policy. Ctrl-C stops after the current iteration and leaves a checkpoint to go on from."""

    config: Annotated[ConfigT, tyro.conf.arg(name="")]
    run: Path | None = None
    """Folder of the run; by default runs/TASK/DATE-TIME-seedN."""
    identified: Path | None = None
    """What isthmus-identify-robot has written of the robot: its parameters are drawn as its flights say they are."""
    resume: bool = False
    """Go on from the checkpoint in --run, with the configuration it was started with. Only iterations,
    checkpoint-every, max-diverged-share and torch-threads may change: a finished run can be trained longer."""


def parse(arguments: list[str]) -> Options[TrainConfig[Any, Any, Any]]:
    """The command line. An unknown task, policy or option ends the program with the valid ones; what cannot be is a
    ValueError."""
    names, rest = _names(arguments)
    config = _stored(names) if names.resume else default_config(names.name, names.policy, names.algorithm)
    kind = config_type(config.name, config.policy_name, config.algorithm_name)
    about = (
        f"{Options.__doc__} --policy chooses among {', '.join(POLICIES)} (here {config.policy_name}); "
        f"--algorithm among {', '.join(ALGORITHMS)} (here {config.algorithm_name})."
    )
    options = tyro.cli(
        Options[kind],
        args=rest,
        prog=f"{PROGRAM} {config.name}",
        description=about,
        default=Options(config=config if names.resume else _with_every_sensor(config, _robot(names))),
        config=(tyro.conf.AvoidSubcommands,),
    )
    if not names.resume:
        options = replace(options, config=_without_the_silent(options.config))
    if options.identified is not None:
        options = replace(options, config=_as_identified(options.config, options.identified))
    if options.config.robot == config.robot:  # what a stored run says stays as it is: a run goes on as it was begun
        return options
    return replace(options, config=replace(options.config, robot=_from_anywhere(options.config.robot)))


def _as_identified(config: TrainConfig[Any, Any, Any], path: Path) -> TrainConfig[Any, Any, Any]:
    robot = make_robot(config) or ROBOTS[TASKS[config.name].robot]
    return replace(config, identified=read_identified_robot(path).of(robot))


def _with_every_sensor(config: ConfigT, robot: RobotDescription) -> ConfigT:
    """The configuration with an entry for every sensor and signal of the robot: the command line can tell of each, such
    as --task.sensors.imu.rate-hz 200."""
    measured = [spec for spec in robot.signals if not spec.is_goal]
    every = {
        "sensors": {spec.sensor: SensorModel() for spec in measured},
        "noise": {spec.name: SignalNoise() for spec in measured if spec.dtype == "float32"},
    }
    return _changed(config, {name: lambda said, all_=all_: all_ | said for name, all_ in every.items()})


def _without_the_silent(config: ConfigT) -> ConfigT:
    """The configuration without the entries that say nothing."""
    return _changed(
        config,
        {
            name: lambda said, nothing=nothing: {key: entry for key, entry in said.items() if entry != nothing}
            for name, nothing in (("sensors", SensorModel()), ("noise", SignalNoise()))
        },
    )


def _changed(config: Any, changes: dict[str, Callable[[Any], Any]]) -> Any:
    """A run's configuration with some of its task's fields changed, where the task has such tables."""
    task = config.task
    changed = {name: change(getattr(task, name)) for name, change in changes.items() if _is_table(task, name)}
    return replace(config, task=replace(task, **changed))


def _is_table(task: Any, name: str) -> bool:
    return isinstance(getattr(task, name, None), dict)


def _robot(names: argparse.Namespace) -> RobotDescription:
    """The robot whose sensors are options: a file or a model has those of the task's."""
    return ROBOTS[names.robot if names.robot in ROBOTS else TASKS[names.name].robot]


def _from_anywhere(robot: str | None) -> str | None:
    """What --robot says, a file by its absolute path: the run will be read from other folders too."""
    if robot is None or robot in ROBOTS or not Path(robot).is_file():
        return robot
    return str(Path(robot).absolute())


def _names(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """What decides which options there are; and the other arguments, --run and --resume among them."""
    parser = argparse.ArgumentParser(prog=PROGRAM, usage=f"{PROGRAM} TASK [options]", allow_abbrev=False)
    parser.add_argument("name", metavar="TASK", choices=list(TASKS), help=f"one of: {', '.join(list(TASKS))}; "
                        f"its options: {PROGRAM} TASK --help")  # fmt: skip
    names = parser.parse_args(arguments[:1])
    choices = argparse.ArgumentParser(prog=f"{PROGRAM} {names.name}", add_help=False, allow_abbrev=False)
    choices.add_argument("--policy", choices=list(POLICIES))
    choices.add_argument("--algorithm", choices=list(ALGORITHMS))
    choices.add_argument("--task", help=argparse.SUPPRESS)
    names, rest = choices.parse_known_args(arguments[1:], names)
    if names.task is not None:
        choices.error(
            f"argument --task: the task is the first argument: {PROGRAM} {names.task} …; options of {names.name} "
            "itself are --task.NAME, see --help"
        )
    run = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    run.add_argument("--run", type=Path)
    run.add_argument("--robot", "--model")
    run.add_argument("--resume", action="store_true")
    run.parse_known_args(rest, names)
    return names, rest


def _stored(names: argparse.Namespace) -> TrainConfig[Any, Any, Any]:
    """The configuration of the run to go on with."""
    if names.run is None:
        raise ValueError("--resume needs --run FOLDER: the run to go on with")
    config = config_from_json(load_checkpoint(names.run / CHECKPOINT)[1]["config"])
    for what in ("name", "policy", "algorithm"):
        field = what if what == "name" else f"{what}_name"
        asked, is_ = getattr(names, what), getattr(config, field)
        if asked not in (None, is_):
            raise ValueError(f"{names.run} is a run of {'the task' if what == 'name' else what} {is_!r}, not {asked!r}")
    return config
