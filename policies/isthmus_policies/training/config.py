"""The configuration of a training run: it is the command line, the run's config.json and what a checkpoint carries."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import tyro

from isthmus_policies.algorithms.algorithm import ALGORITHMS
from isthmus_policies.files import from_json, plain
from isthmus_policies.networks.policy import POLICIES
from isthmus_policies.starts.config import LevelsConfig, StartsConfig
from isthmus_sim.tasks import TASKS
from isthmus_sim.terms.randomization import Joint

TaskT = TypeVar("TaskT")
PolicyT = TypeVar("PolicyT")
AlgorithmT = TypeVar("AlgorithmT")

Chosen = Annotated[str, tyro.conf.Fixed, tyro.conf.Suppress]
"""A name that is chosen before the other options are known: it decides which ones there are."""

RESUMABLE = ("iterations", "checkpoint_every", "max_diverged_share", "torch_threads")
"""What may change when a run is gone on with."""

_SEEDS = 2**62  # torch takes 63 bits, and worlds and processes have seeds of their own above the run's


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Generic[TaskT, PolicyT, AlgorithmT]):
    """One training run."""

    name: Chosen
    """Registered name of the task."""
    policy_name: Chosen = "mlp"
    """Registered name of the policy."""
    algorithm_name: Chosen = "ppo"
    """Registered name of the algorithm."""
    robot: Annotated[str | None, tyro.conf.arg(aliases=["--model"])] = None
    """Robot to train, by default the task's own: a registered name, a robot file (my_dog.toml), or a model (MJCF, URDF,
    menagerie:NAME) on top of the task's own."""
    engine: str | None = None
    """Name of the engine; by default the task's first one."""
    num_envs: int = 512
    """Worlds stepped together, by all processes of a data-parallel run (`distributed`)."""
    iterations: int = 440
    """Times that experience is collected and the policy improved. Curriculum and schedules run over all of them."""
    seed: int = 0
    """Seed of everything random. On a CPU the same seed gives the same policy, bit for bit, with equally many threads
    of torch."""
    episode_steps: int | None = 100
    """Episodes are cut here while training, by default earlier than the task does: more starts to learn from. The
    value goes on across a cut."""
    curriculum_end: float = 0.35
    """How far the reward's curriculum goes, as a share of all of it."""
    curriculum_share: float = 0.6
    """Share of the iterations after which it is there."""
    torch_threads: int = 2
    """Most threads of torch's operations while the policy is improved. One is best for networks and minibatches so
    small that the operations end before a second thread has woken up."""
    checkpoint_every: int = 100
    """Iterations between checkpoints; there is always one at the end and on Ctrl-C."""
    max_diverged_share: float = 0.01
    """Share of the worlds that may diverge within an iteration; they are reset and dumped. More of them stop the
    run."""
    identified: Annotated[Joint | None, tyro.conf.Suppress] = None
    """What `--identified` said of the robot: it is drawn in the place of what the task draws."""
    starts: StartsConfig = dataclasses.field(default_factory=StartsConfig)
    """Where episodes begin beside where the task lets them."""
    levels: LevelsConfig = dataclasses.field(default_factory=LevelsConfig)
    """Which levels episodes have, of a task that declares what makes it hard."""
    task: TaskT
    """The task's own configuration."""
    policy: PolicyT
    """The policy's own configuration."""
    algorithm: AlgorithmT
    """The algorithm's own configuration."""

    def __post_init__(self) -> None:
        for name in ("num_envs", "iterations", "torch_threads", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.episode_steps is not None and self.episode_steps < 1:
            raise ValueError(f"episode_steps must be at least 1, or None, got {self.episode_steps}")
        for name in ("max_diverged_share", "curriculum_end", "curriculum_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must lie within [0, 1], got {getattr(self, name)}")
        if abs(self.seed) >= _SEEDS:
            raise ValueError(f"seed must lie within 2**62 of 0, got {self.seed}")


def default_config(name: str, policy: str | None = None, algorithm: str | None = None) -> TrainConfig[Any, Any, Any]:
    """How the task `name` is trained, by default with the policy and the algorithm that it asks for.

    Raises ValueError for an unknown name, with the valid ones, and for training defaults of the task that are no
    options.
    """
    entry = TASKS[name]
    if entry.training is None:
        raise ValueError(f"the task {name!r} is there to judge policies on, not to be trained; choose another")
    usual = entry.training.get("algorithm_name", "ppo")
    chosen = algorithm or usual
    # A task knows best how the algorithm of its choice trains it; of another, the algorithm itself.
    asking = [(f"algorithm {chosen!r}", ALGORITHMS[chosen].training), (f"task {name!r}", entry.training)]
    if chosen != usual:
        asking.reverse()
    asked = [asks["policy_name"] for _, asks in asking if "policy_name" in asks]
    by = policy or (asked[-1] if asked else "mlp")
    config = TrainConfig(
        name=name, policy_name=by, algorithm_name=chosen, task=entry.config,
        policy=POLICIES[by].config, algorithm=ALGORITHMS[chosen].config,
    )  # fmt: skip
    for who, asks in asking:
        config = _asked(config, asks, who)
    return config


def _asked(config: TrainConfig[Any, Any, Any], asks: Mapping[str, Any], who: str) -> TrainConfig[Any, Any, Any]:
    """The configuration with what `who` asks for. What it asks of a policy or algorithm of its choice holds for another
    one where it has the same."""
    changes = {key: value for key, value in asks.items() if key not in ("policy_name", "algorithm_name")}
    for part, usual in (("policy", "mlp"), ("algorithm", "ppo")):
        if part in changes and asks.get(f"{part}_name", usual) != getattr(config, f"{part}_name"):
            chosen = getattr(config, part)
            changes[part] = {key: value for key, value in changes[part].items() if hasattr(chosen, key)}
    return _changed(config, changes, f"{who}, training")


def _changed(config: Any, changes: Mapping[str, Any], where: str) -> Any:
    """A dataclass with some fields changed; in fields that are dataclasses, fields of theirs."""
    fields = [field.name for field in dataclasses.fields(config)]
    values = {}
    for key, value in changes.items():
        if key not in fields:
            raise ValueError(f"{where}: unknown key {key!r}; valid are: {', '.join(fields)}")
        before = getattr(config, key)
        nested = dataclasses.is_dataclass(before) and isinstance(value, Mapping)
        values[key] = _changed(before, value, f"{where}.{key}") if nested else value
    return dataclasses.replace(config, **values)


def config_type(name: str, policy: str, algorithm: str) -> Any:
    """`TrainConfig` with the configurations of a task, a policy and an algorithm. Raises ValueError for an unknown
    name."""
    configs = TASKS[name].config, POLICIES[policy].config, ALGORITHMS[algorithm].config
    return TrainConfig[tuple(type(config) for config in configs)]  # pyright: ignore[reportInvalidTypeArguments]


def config_from_json(value: dict[str, Any]) -> TrainConfig[Any, Any, Any]:
    """The configuration that `write_json` or `dataclasses.asdict` took apart: all of it, today's defaults add nothing.

    A run from before there were other starts or levels had none.

    Raises ValueError naming an unknown or missing key with the valid ones, and an unknown task, policy or algorithm.
    """
    value = {"starts": plain(StartsConfig()), "levels": plain(LevelsConfig())} | value
    names = [value.get(key) for key in ("name", "policy_name", "algorithm_name")]
    if not all(isinstance(name, str) for name in names):
        return from_json(TrainConfig[Any, Any, Any], value)  # says which key is missing or wrong
    return from_json(config_type(*names), value)  # pyright: ignore[reportArgumentType]


def require_storable(config: TrainConfig[Any, Any, Any]) -> None:
    """Raise ValueError for a configuration that its own JSON would not give back: a run could never be opened again."""
    try:
        stored = plain(config)
        again = config_from_json(json.loads(json.dumps(stored)))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{config.name}: a run could not be rebuilt from this configuration: {error}") from error
    if endless := list(_not_finite(stored)):
        raise ValueError(f"{config.name}: numbers that are not finite: {', '.join(endless)}; write finite ones")
    if again != config:
        differing = ", ".join(line for _, line in _differences(config, again))
        raise ValueError(f"{config.name}: a run could not be rebuilt from this configuration: {differing}")


def _not_finite(stored: Any, name: str = "") -> Iterator[str]:
    """Dotted names of the numbers of a configuration's JSON that JSON does not have, with their values."""
    if isinstance(stored, float) and not math.isfinite(stored):
        yield f"{name} ({stored})"
    items = stored.items() if isinstance(stored, Mapping) else enumerate(stored) if isinstance(stored, list) else ()
    for key, value in items:
        yield from _not_finite(value, f"{name}.{key}" if name else str(key))


def require_resumable(before: TrainConfig[Any, Any, Any], after: TrainConfig[Any, Any, Any]) -> None:
    """Raise ValueError naming the options that differ and may not when a run is gone on with."""
    fixed = [line for name, line in _differences(before, after) if name not in RESUMABLE]
    if fixed:
        raise ValueError(
            f"a run goes on as it was begun: it cannot change {', '.join(fixed)}; "
            f"it can change: {', '.join(RESUMABLE)}; begin another run for the rest"
        )


def _differences(before: Any, after: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Options that differ: dotted name, and both values in words."""
    for field in dataclasses.fields(before):
        old, new, name = getattr(before, field.name), getattr(after, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(old) and type(old) is type(new):
            yield from _differences(old, new, f"{name}.")
        elif old != new:
            yield name, f"{name} ({old!r} to {new!r})"
