"""The contract between a policy graph and a robot: names, shapes, units, frames, orders, limits, timing, origin.

It travels as JSON in the policy file. The published `contract.schema.json` is the file that `from_json` validates
against, so the two cannot disagree.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from isthmus_deploy.chunk_executor import ExecutorConfig, Strategy
from isthmus_deploy.contracts.consistency import (
    InconsistentContract,
    check_chunk,
    check_initial,
    check_unique,
    paths,
)
from isthmus_deploy.contracts.limits import Command, Limits, Signal
from isthmus_deploy.contracts.monitor_data import Monitor, monitor_of
from isthmus_deploy.contracts.robot_interface import (
    CommandInterface,
    ContractMismatch,
    Joint,
    RobotInterface,
    SignalInterface,
    differences,
    narrowed,
)
from isthmus_deploy.contracts.safety_data import safety_of
from isthmus_deploy.contracts.schema import CONTRACT_VERSION, build, frozen, parse, write


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """One tensor that the graph hands to its own next step (input `memory_<name>`, output `next_memory_<name>`)."""

    name: str
    shape: tuple[int, ...]
    """Shape without the batch axis."""
    order: str
    """Meaning of the axes, such as "oldest first"."""
    initial: float | tuple
    """Value after a reset: one number for all elements, or nested tuples of `shape`."""
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise:
    """One tensor (float32, input `noise_<name>`) that is drawn anew at every step, from the standard normal
    distribution."""

    name: str
    shape: tuple[int, ...]
    """Shape without the batch axis."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunk:
    """How a policy of chunks is run: it reads the last readings together, and gives the commands of several control
    periods at once."""

    horizon: int
    """Commands of a chunk; the first one belongs to the control period of the newest reading."""
    observed: int
    """Readings that it takes of every signal, one a control period, oldest first. Where there are not so many yet, the
    oldest one stands for those before it."""
    execute: int
    """Control periods from one inference to the next."""
    strategy: Strategy
    """What is done of the chunks; `chunk_executor` says what each means."""
    tolerated_latency_s: float
    """How long an inference may take before commands run out: the control periods that a chunk goes on after the next
    inference begins."""
    begins_near: bool
    """Whether the graph takes the chunk before, to begin near to it with fewer evaluations (inputs `begin_<command>`,
    and `near`: 1 for that, 0 to begin afresh)."""

    @property
    def executor(self) -> ExecutorConfig:
        """How `ChunkExecutor` runs it."""
        return ExecutorConfig(horizon=self.horizon, execute=self.execute, strategy=self.strategy)


Phase = Literal["standby", "driven"]
"""When a condition holds: from arming until the policy starts, or while it drives (ramp-in and running)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Condition:
    """What must hold of the robot, as training had it: that which ended an episode as a failure, or without which none
    began. The policy file's second graph gives how far the readings are from breaking it."""

    name: str
    unit: str
    """SI unit of its margin."""
    description: str
    """What holds, to follow its name, such as "leans by at most 1.05 rad"."""
    holds: tuple[Phase, ...]
    """Where it is broken, the robot stops; what leads there is refused."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SecondOpinion:
    """How the policy did in another simulator, beside the one that it is held to: the same starts, bodies and ground.
    Low end, value, high end of 95 % intervals."""

    engine: str
    """The other simulator, such as "physx"."""
    held_to: str
    """The one that it is held to, such as "mujoco"."""
    episodes: int
    """On each."""
    seed: int
    held_to_success: tuple[float, float, float]
    success: tuple[float, float, float]
    kept: tuple[float, float, float]
    """Share of `held_to`'s success that is left; it may be above 1."""
    required: float
    """What `kept` was asked to be at least."""
    policy: str
    """SHA-256 of the policy file that was driven, which had the same graph and not yet this opinion."""
    code_revision: str
    created: str
    """ISO 8601 time."""

    @property
    def enough(self) -> bool:
        """Whether as much was kept as was asked for."""
        return self.kept[1] >= self.required

    def __str__(self) -> str:
        low, value, high = (100 * share for share in self.kept)
        return (
            f"{self.engine} {value:.0f} % of {self.held_to}'s success (95 % interval {low:.0f} to {high:.0f} %, "
            f"{self.episodes} episodes each)"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the policy came from."""

    task: str
    task_config: Mapping[str, Any]
    """The task's configuration that it was trained with, as JSON values."""
    package: str
    """Distribution that registered the task, such as "isthmus"."""
    package_version: str
    robot_model: str
    """Model of the robot that it was trained on: the robot's name, or the file of a model that somebody brought."""
    engine: str
    """Simulator that it was trained in, such as "mujoco"."""
    code_revision: str
    seed: int
    data: str | None
    """Demonstrations it was trained on; None for none."""
    evaluation: Mapping[str, Any]
    """Measured scores as JSON values, such as `{"episodes": 500, "success": [low, mean, high]}`."""
    created: str
    """ISO 8601 time of the export."""
    packages: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Who registered what it was made with, such as `{"policy mlp": "isthmus 0.1.0"}`: its task, robot (of a user's
    model the one that lends the rest), policy, algorithm and engine. Empty in contracts from before it was kept."""
    second_opinions: tuple[SecondOpinion, ...] | None = None
    """What other simulators say, one each; None where none was asked. A contract is then written without them."""

    def with_opinions(self, opinions: Iterable[SecondOpinion]) -> "Provenance":
        """The same with these, each in the place of what its engine said before."""
        found = {opinion.engine: opinion for opinion in (*(self.second_opinions or ()), *opinions)}
        return dataclasses.replace(self, second_opinions=tuple(found.values()) or None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contract(Limits):
    """Everything a robot must know of a policy.

    Raises:
        InconsistentContract: two fields contradict each other, such as an order of 3 names for 4 elements.
    """

    robot: str
    """Name of the robot, such as "crazyflie"."""
    trained_latency_s: float
    """Sensor-to-motor latency that the policy was trained for."""
    memory: tuple[Memory, ...]
    provenance: Provenance
    noise: tuple[Noise, ...] = ()
    """What the policy draws; empty for one that draws nothing."""
    chunk: Chunk | None = None
    """How its chunks are run; None for a policy that gives the commands of one control period. Such a contract is
    written without it, as it was before there were chunks."""
    conditions: tuple[Condition, ...] | None = None
    """What must hold of the robot, in the order of the second graph's margins; None for a policy that says nothing."""
    monitor: Monitor | None = None
    """How it is watched; None for a policy that is not."""
    version: int = CONTRACT_VERSION

    def __post_init__(self):
        super().__post_init__()
        for path, memory in paths("memory", self.memory):
            check_initial(path, memory)
        check_unique(self._graph_names())
        check_unique([("conditions", condition.name) for condition in self.conditions or ()])
        check_unique([("monitor.scores", score.name) for score in self.monitor.scores] if self.monitor else [])
        if self.chunk is not None:
            check_chunk("chunk", self.chunk, self.control_period_s)
            if self.memory:
                raise InconsistentContract("memory", "a policy of chunks has none: it takes the last readings instead")

    def input_shape(self, signal: Signal) -> tuple[int, ...]:
        """What the graph takes of a signal, without the batch axis: a reading, or a chunk's last readings."""
        return signal.shape if self.chunk is None else (self.chunk.observed, *signal.shape)

    def output_shape(self, command: Command) -> tuple[int, ...]:
        """What the graph gives for a command, without the batch axis: one, or a chunk of them."""
        return command.shape if self.chunk is None else (self.chunk.horizon, *command.shape)

    @property
    def begins_near(self) -> bool:
        """Whether the graph takes the chunk before."""
        return self.chunk is not None and self.chunk.begins_near

    def graph_inputs(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name -> type and shape, without the batch axis, of all that the graph takes."""
        inputs = {item.name: (item.dtype, self.input_shape(item)) for item in self.signals}
        inputs |= {f"memory_{item.name}": (item.dtype, item.shape) for item in self.memory}
        inputs |= {f"noise_{item.name}": ("float32", item.shape) for item in self.noise}
        if self.begins_near:
            inputs |= {f"begin_{item.name}": (item.dtype, self.output_shape(item)) for item in self.commands}
            inputs["near"] = ("float32", (1,))
        return inputs

    def graph_outputs(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name -> type and shape, without the batch axis, of all that the graph gives."""
        outputs = {item.name: (item.dtype, self.output_shape(item)) for item in self.commands}
        return outputs | {f"next_memory_{item.name}": (item.dtype, item.shape) for item in self.memory}

    def _graph_names(self) -> list[tuple[str, str]]:
        names = [("signals", signal.name) for signal in self.signals]
        names += [("commands", command.name) for command in self.commands]
        names += [("memory", f"memory_{memory.name}") for memory in self.memory]
        names += [("memory", f"next_memory_{memory.name}") for memory in self.memory]
        names += [("noise", f"noise_{noise.name}") for noise in self.noise]
        if self.begins_near:
            names += [("chunk", name) for name in (*(f"begin_{command.name}" for command in self.commands), "near")]
        return names

    def to_json(self) -> str:
        """JSON text that `from_json` reads back to an equal object, at full float precision.

        Raises:
            ContractError: a field holds what the schema does not allow.
        """
        return write(self, "Contract")

    @classmethod
    def from_json(cls, text: str) -> "Contract":
        """Read what `to_json` wrote.

        Raises:
            ContractError: not JSON, not a contract (the message names the JSON path), or of another version.
        """
        document = parse(text, "Contract")
        return cls(
            version=int(document["version"]),
            robot=document["robot"],
            control_period_s=document["control_period_s"],
            trained_latency_s=document["trained_latency_s"],
            signals=tuple(build(Signal, item) for item in document["signals"]),
            commands=tuple(build(Command, item) for item in document["commands"]),
            memory=tuple(build(Memory, item) for item in document["memory"]),
            noise=tuple(build(Noise, item) for item in document["noise"]),
            chunk=_chunk(document.get("chunk")),
            conditions=_conditions(document.get("conditions")),
            monitor=monitor_of(document.get("monitor")),
            joints={name: Joint(**joint) for name, joint in document["joints"].items()},
            safety=safety_of(document.get("safety")),
            provenance=_provenance(document["provenance"]),
        )

    def interface(self) -> RobotInterface:
        """The interface of the robot that this contract was made for."""
        return RobotInterface(
            robot=self.robot,
            control_period_s=self.control_period_s,
            signals=tuple(narrowed(SignalInterface, signal) for signal in self.signals),
            commands=tuple(narrowed(CommandInterface, command) for command in self.commands),
            joints=dict(self.joints),
            safety=self.safety,
        )

    def differences(self, robot: RobotInterface) -> list[str]:
        """Every line in which `robot` is not what the contract needs; empty when it fits."""
        return differences(self.interface(), robot)

    def check_robot(self, robot: RobotInterface) -> None:
        """Refuse a robot that does not fit.

        Raises:
            ContractMismatch: with every difference, one a line.
        """
        lines = self.differences(robot)
        if lines:
            raise ContractMismatch(lines)


def _chunk(document: Mapping[str, Any] | None) -> Chunk | None:
    if document is None:
        return None
    whole = {name: int(document[name]) for name in ("horizon", "observed", "execute")}
    return Chunk(**{**document, **whole})


def _conditions(documents: list[Mapping[str, Any]] | None) -> tuple[Condition, ...] | None:
    if documents is None:
        return None
    return tuple(Condition(**{**document, "holds": tuple(document["holds"])}) for document in documents)


def _provenance(document: Mapping[str, Any]) -> Provenance:
    opinions = document.get("second_opinions")
    return Provenance(
        **{
            **document,
            "seed": int(document["seed"]),
            "second_opinions": None if opinions is None else tuple(map(_second_opinion, opinions)),
        }
    )


def _second_opinion(document: Mapping[str, Any]) -> SecondOpinion:
    whole = {name: int(document[name]) for name in ("episodes", "seed")}
    fields: dict[str, Any] = {name: frozen(value) for name, value in document.items()}
    return SecondOpinion(**{**fields, **whole})
