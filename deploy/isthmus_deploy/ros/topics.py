"""Which topics there are, as a table: `python -m isthmus_deploy.ros.topics` prints it in Markdown.

It is made from the bindings, so that what a driver's author reads is what the nodes do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tyro

from isthmus_deploy.ros import ros2

if TYPE_CHECKING:
    from rclpy.qos import QoSProfile

    from isthmus_deploy.contracts.robot_interface import RobotInterface
    from isthmus_deploy.ros.bindings.binding import CommandBinding, SignalBinding, Topic
    from isthmus_deploy.ros.bindings.table import BindingTable

DRIVER, OPERATOR, POLICY = "driver", "operator", "policy"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One topic: who publishes it for whom, its message type and quality of service, and what it holds."""

    topic: str
    message: str
    source: str
    target: str
    qos: str
    holds: tuple[str, ...]


def all_rows(table: BindingTable) -> list[Row]:
    """Every topic of the bindings, and the one on which a robot describes itself."""
    from isthmus_deploy.ros.bindings.camera import camera_binding

    bound = [(name, binding, binding.order) for name, binding in table.signals.items()]
    camera = camera_binding("CAMERA")
    signals = _signal_rows([*bound, ("any image CAMERA", camera, camera.order)])
    commands = [_command_row(name, binding, None) for name, binding in table.commands.items()]
    return [_description_row(), *signals, *commands]


def rows_of(robot: RobotInterface, table: BindingTable) -> list[Row]:
    """The topics of one robot.

    Raises:
        Refusal: no topic carries one of its signals or commands.
    """
    signals = [(signal.name, table.signal(signal), signal.order) for signal in robot.signals]
    commands = [_command_row(command.name, table.command(command), command.order) for command in robot.commands]
    return [_description_row(), *_signal_rows(signals), *commands]


def markdown(rows: Iterable[Row]) -> str:
    """A table in Markdown."""
    lines = ["| topic | message | from → to | quality of service | holds |", "|---|---|---|---|---|"]
    for row in rows:
        way = f"{row.source} → {row.target}"
        lines.append(f"| `{row.topic}` | `{row.message}` | {way} | {row.qos} | {'; '.join(row.holds)} |")
    return "\n".join(lines) + "\n"


def listing(rows: Iterable[Row]) -> str:
    """A list for a terminal."""
    lines = []
    for row in rows:
        lines.append(f"{row.source} → {row.target}  {row.topic}  ({row.message}; {row.qos})")
        lines += [f"    {item}" for item in row.holds]
    return "\n".join(lines)


def _description_row() -> Row:
    from std_msgs.msg import String

    from isthmus_deploy.ros import qos

    return Row(
        topic="robot_interface", message=_type(String), source=DRIVER, target=POLICY, qos=_quality(qos.LATCHED),
        holds=("what the robot is, as JSON",),
    )  # fmt: skip


def _signal_rows(signals: Sequence[tuple[str, SignalBinding, Sequence[str] | None]]) -> list[Row]:
    """One row a topic, with all that it holds."""
    holds: dict[object, list[str]] = {}
    topics = {}
    for name, binding, order in signals:
        for source in binding.sources:
            topics[source.topic.name] = source.topic
            holds.setdefault(source.topic.name, []).append(_held(name, binding, order))
    return [
        Row(
            topic=topic.name,
            message=_type(topic.message),
            source=DRIVER if topic.side == "robot" else OPERATOR,
            target=POLICY,
            qos=_quality(topic.qos),
            holds=(*holds[topic.name], *_silence(topic)),
        )
        for topic in topics.values()
    ]


def _silence(topic: Topic) -> list[str]:
    expiring = "all of it" if topic.expiring is None else " and ".join(topic.expiring)
    return [] if topic.expires_s is None else [f"after {topic.expires_s:g} s of silence {expiring} is zero"]


def _held(name: str, binding: SignalBinding, order: Sequence[str] | None) -> str:
    frame = f", {binding.frame}" if binding.frame else ""
    return f"{name} ({binding.unit}{frame}): {_elements(order, 'the joints by name')}"


def _command_row(name: str, binding: CommandBinding, order: Sequence[str] | None) -> Row:
    from isthmus_deploy.ros import qos

    held = f"{name} ({binding.unit}): {_elements(order, 'its elements in the order of the description')}"
    return Row(
        topic=binding.topic, message=_type(binding.message), source=POLICY, target=DRIVER, qos=_quality(qos.COMMAND),
        holds=(held,),
    )  # fmt: skip


def _elements(order: Sequence[str] | None, otherwise: str) -> str:
    return otherwise if order is None else ", ".join(order)


def _type(message: type) -> str:
    return f"{message.__module__.split('.')[0]}/{message.__name__}"


def _quality(profile: QoSProfile) -> str:
    from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

    parts = ["reliable" if profile.reliability == ReliabilityPolicy.RELIABLE else "best effort"]
    parts += ["latched"] if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL else []
    return ", ".join((*parts, f"depth {profile.depth}"))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Print the topics that carry signals and commands, as a table in Markdown."""

    package: str | None = None
    """Only what this package registers; by default everything."""


def main() -> None:
    """Entry point of `python -m isthmus_deploy.ros.topics`."""
    config = tyro.cli(Config, prog="isthmus_deploy.ros.topics")
    ros2.run(lambda: _print(config), name="topics")


def _print(config: Config) -> int:
    ros2.require()
    from isthmus_deploy.ros.bindings.table import bindings

    print(markdown(all_rows(bindings(config.package))), end="")
    return 0


if __name__ == "__main__":
    main()
