"""The table of all bindings: the project's own and those of other packages, and what it says of a contract."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points

from isthmus_deploy.contracts.contract import Command, Contract, Signal
from isthmus_deploy.contracts.robot_interface import CommandInterface, SignalInterface
from isthmus_deploy.ros.bindings.binding import CommandBinding, RosBindings, SignalBinding, Topic
from isthmus_deploy.ros.bindings.camera import camera_binding
from isthmus_deploy.ros.ros2 import Refusal

GROUP = "isthmus.ros_bindings"
"""The group of entry points. Each is the `RosBindings` of a package, which must not need torch."""


class BindingTable:
    """Bindings by the contract's names.

    Args:
        registered: By whom it comes (in messages) and what.
        broken: Why some packages' bindings are not among them: said to who asks for a name that nobody registered.

    Raises:
        Refusal: two register the same name, or different topics of one name.
    """

    def __init__(self, registered: Mapping[str, RosBindings], broken: Sequence[str] = ()) -> None:
        self._broken = "".join(f"; {reason}" for reason in broken)
        self.orders: Mapping[str, Sequence[str]] = {}
        """The driver's joints in the order in which each command's message has them, by command, where it is known."""
        self.signals: dict[str, SignalBinding] = {}
        self.commands: dict[str, CommandBinding] = {}
        owners: dict[str, str] = {}
        topics: dict[str, tuple[Topic, str]] = {}
        for owner, bindings in registered.items():
            for name in (*bindings.signals, *bindings.commands):
                _claim(name, owner, owners)
            for topic in (source.topic for binding in bindings.signals.values() for source in binding.sources):
                _claim_topic(topic, owner, topics)
            self.signals |= bindings.signals
            self.commands |= bindings.commands

    def signal(self, signal: SignalInterface) -> SignalBinding:
        """How a signal comes; a camera needs no registration. Raises Refusal where nothing carries it."""
        binding = self.signals.get(signal.name)
        if binding is None and signal.dtype == "uint8":
            return camera_binding(signal.name)
        if binding is None:
            raise Refusal(f"no topic gives {signal.name}; known signals: {', '.join(self.signals)}{self._broken}")
        return binding

    def command(self, command: CommandInterface) -> CommandBinding:
        """How a command goes. Raises Refusal where nothing carries it."""
        if command.name not in self.commands:
            known = ", ".join(self.commands)
            raise Refusal(f"no topic takes {command.name}; known commands: {known}{self._broken}")
        return self.commands[command.name]


def _claim(name: str, owner: str, owners: dict[str, str]) -> None:
    if name in owners:
        raise Refusal(f"the ROS binding of {name!r} is registered twice, by {owners[name]} and by {owner}: rename one")
    owners[name] = owner


def _claim_topic(topic: Topic, owner: str, topics: dict[str, tuple[Topic, str]]) -> None:
    other, first = topics.setdefault(topic.name, (topic, owner))
    if other is not topic:
        raise Refusal(
            f"the topic {topic.name!r} is described twice, by {first} and by {owner}: import the first one's Topic, or "
            "rename yours"
        )


@functools.cache
def bindings(package: str | None = None) -> BindingTable:
    """Everything that is registered, or what one package registers. What does not load or is no `RosBindings` is left
    out, so that a stranger's broken package stops no robot but its own: who asks for a name of it is told why.

    Raises:
        Refusal: what is registered contradicts itself, or none of it can be had.
    """
    points = [point for point in entry_points(group=GROUP) if package in (None, point.dist and point.dist.name)]
    if not points:
        who = package or "isthmus"
        raise Refusal(f"{who} has no entry points in the group {GROUP}: is it installed? If so, install it anew")
    loaded: dict[str, RosBindings] = {}
    broken: list[str] = []
    for point in points:
        try:
            loaded[_owner(point)] = _load(point)
        except Refusal as refusal:
            broken.append(str(refusal))
    if not loaded:
        raise Refusal("; ".join(broken))
    return BindingTable(loaded, broken)


def _owner(point: EntryPoint) -> str:
    package = f"{point.dist.name} {point.dist.version}" if point.dist else "a package without a name"
    return f"{package} ({point.name} = {point.value})"


def _load(point: EntryPoint) -> RosBindings:
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # a module of another package may raise anything while it is imported
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise Refusal(f"the ROS bindings of {_owner(point)} do not load: {why}; mend or uninstall it") from error
    if not isinstance(found, RosBindings):
        raise Refusal(f"the ROS bindings of {_owner(point)} are a {type(found).__name__}, they must be a RosBindings")
    for kind, items in ((SignalBinding, found.signals), (CommandBinding, found.commands)):
        for name, item in items.items():
            if not isinstance(item, kind):
                problem = f"is a {type(item).__name__}, it must be a {kind.__name__}"
                raise Refusal(f"the ROS binding of {name!r} of {_owner(point)} {problem}")
    return found


# --- a contract against the table ---


def check_contract(contract: Contract, table: BindingTable | None = None) -> None:
    """Refuse a contract with signals or commands that no topic of the table (by default of all that are registered)
    carries, or carries otherwise.

    Raises:
        Refusal: naming every line that differs, and the valid names.
    """
    table = table or bindings()
    lines = [line for signal in contract.signals for line in _signal_problems(signal, table)]
    lines += [line for command in contract.commands for line in _command_problems(command, table)]
    if lines:
        raise Refusal("the policy's contract does not fit the ROS topics:\n  " + "\n  ".join(lines))


def _signal_problems(signal: Signal, table: BindingTable) -> list[str]:
    try:
        binding = table.signal(signal)
    except Refusal as refusal:
        return [f"signals.{signal.name}: {refusal}"]
    order = signal.order if binding.order is None else binding.order
    frame = signal.frame if binding.frame is None else binding.frame
    shape = (*signal.shape[:-1], len(order)) if binding.dtype == "uint8" else (len(order),)
    wanted = {"shape": shape, "unit": binding.unit, "frame": frame, "order": order, "dtype": binding.dtype}
    lines = [
        f"signals.{signal.name}.{field}: contract {getattr(signal, field)}, ROS {value}"
        for field, value in wanted.items()
        if getattr(signal, field) != value
    ]
    return lines or _silence_problems(signal, binding)


def _silence_problems(signal: Signal, binding: SignalBinding) -> list[str]:
    """A silent operator's goal is zero; a policy that was never asked for that would go on moving."""
    low, high = signal.trained_minimum, signal.trained_maximum
    topics = [source.topic.name for source in binding.sources if source.topic.silence_s(signal.name) is not None]
    if not topics or low is None or high is None or all(a <= 0.0 <= b for a, b in zip(low, high, strict=True)):
        return []
    problem = f"{topics[0]} falls silent as zero, which is outside the trained range {low} to {high}: train it to stand"
    return [f"signals.{signal.name}: {problem}"]


def _command_problems(command: Command, table: BindingTable) -> list[str]:
    try:
        binding = table.command(command)
    except Refusal as refusal:
        return [f"commands.{command.name}: {refusal}"]
    if command.unit != binding.unit:
        return [f"commands.{command.name}.unit: contract {command.unit}, ROS {binding.unit}"]
    return []
