"""The table of bindings as one robot's hardware profile changes it: names, types, signs, offsets and orders."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy

from isthmus_deploy.contracts.profile import CommandProfile, JointMap, Profile, TopicProfile
from isthmus_deploy.contracts.robot_interface import CommandInterface, SignalInterface
from isthmus_deploy.ros.bindings.binding import XYZ, Array, CommandBinding, Read, SignalBinding, Source, Topic, Write
from isthmus_deploy.ros.bindings.joint_commands import joint_command
from isthmus_deploy.ros.bindings.message_types import Conversion, conversion
from isthmus_deploy.ros.bindings.table import BindingTable
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_deploy.rotations import multiply, rotate

_RELIABILITY = {"reliable": ReliabilityPolicy.RELIABLE, "best_effort": ReliabilityPolicy.BEST_EFFORT}


class ProfiledTable(BindingTable):
    """Bindings for a robot that speaks as its profile says; what the profile leaves out is as in `table`.

    Args:
        table: What is registered.
        profile: Of the robot.
        orders: The driver's joints in the order in which each command's message has them, by command, for those that
            are not sent in the contract's order.
    """

    def __init__(self, table: BindingTable, profile: Profile, orders: Mapping[str, Sequence[str]]) -> None:
        self.signals, self.commands, self._broken = table.signals, table.commands, table._broken
        self._profile, self.orders = profile, orders
        self._topics: dict[Topic, Topic] = {}

    def signal(self, signal: SignalInterface) -> SignalBinding:
        """How a signal comes. Raises Refusal where nothing carries it, or not in the type that the profile asks for."""
        binding = super().signal(signal)
        return dataclasses.replace(binding, sources=tuple(map(self._source, binding.sources)))

    def command(self, command: CommandInterface) -> CommandBinding:
        """How a command goes. Raises Refusal as `signal`, and where the order has other joints than the command."""
        binding, stated = super().command(command), self._profile.commands.get(command.name)
        if stated is None and not self._profile.joints:
            return binding
        binding = dataclasses.replace(binding, topic=(stated and stated.topic) or binding.topic)
        if command.frame != "joint":
            _check_topic_alone(command.name, stated)
            return binding
        return joint_command(binding, self._profile, self.orders.get(command.name), stated and stated.type)

    # --- signals ---

    def _source(self, source: Source) -> Source:
        stated = self._profile.topics.get(source.topic.name, TopicProfile())
        convert = conversion(source.topic.message, stated.type)

        def reader(signal: SignalInterface) -> Read:
            read = source.reader(self._renamed(signal))
            change = self._change(signal, stated)

            def changed(message: Any, out: Array) -> None:
                read(convert.read(message), out)
                if change is not None:
                    out[...] = change(out)

            return changed

        return Source(topic=self._topic(source.topic, stated, convert), reader=reader)

    def _topic(self, topic: Topic, stated: TopicProfile, convert: Conversion) -> Topic:
        """The topic as the driver has it; the same object each time."""
        if topic not in self._topics:
            felt = topic.acceleration
            self._topics[topic] = dataclasses.replace(
                topic,
                name=stated.topic or topic.name,
                message=convert.message,
                qos=_quality(topic.qos, stated.reliability),
                check=lambda message: topic.check(convert.read(message)),
                check_axes=lambda message: None if stated.mounting else topic.check_axes(convert.read(message)),
                acceleration=felt and self._acceleration(felt, stated, convert),
                writer=topic.writer and self._writer(topic.writer, stated, convert),
            )
        return self._topics[topic]

    def _acceleration(self, read: Read, stated: TopicProfile, convert: Conversion) -> Read:
        def turned(message: Any, out: Array) -> None:
            read(convert.read(message), out)
            if stated.mounting is not None:
                out[:] = rotate(np.array(stated.mounting), out)

        return turned

    def _writer(
        self, writer: Callable[[Sequence[SignalInterface]], Write], stated: TopicProfile, convert: Conversion
    ) -> Callable[[Sequence[SignalInterface]], Write]:
        """A stand-in robot and an operator speak as the driver would."""

        def make(signals: Sequence[SignalInterface]) -> Write:
            write = writer([self._renamed(signal) for signal in signals])
            changes = {signal.name: self._change(signal, stated, back=True) for signal in signals}

            def changed(values: Mapping[str, Array]) -> Any:
                told = {name: _changed(changes.get(name), value) for name, value in values.items()}
                return convert.write(write(told))

            return changed

        return make

    def _renamed(self, signal: SignalInterface) -> SignalInterface:
        if signal.frame != "joint":
            return signal
        return dataclasses.replace(signal, order=JointMap(self._profile, signal).names)

    def _change(
        self, signal: SignalInterface, stated: TopicProfile, *, back: bool = False
    ) -> Callable[[Array], Array] | None:
        """What makes the contract's numbers of the driver's, or `back`; None for nothing."""
        if signal.frame == "joint" and self._profile.joints:
            joints = JointMap(self._profile, signal)
            return joints.to_driver if back else joints.from_driver
        if stated.mounting is None:
            return None
        return _turn(signal, np.array(stated.mounting), back=back)


def _check_topic_alone(command: str, stated: CommandProfile | None) -> None:
    """Raise Refusal where a profile says more of a command that is none of joints than where it goes."""
    more = [] if stated is None else [name for name in ("type", "controller", "order") if getattr(stated, name)]
    if more:
        raise Refusal(f"the profile's commands.{command}.{more[0]}: only of a command of joints; this one has a topic")


def _changed(change: Callable[[Array], Array] | None, value: Array) -> Array:
    return value if change is None else change(value)


def _turn(signal: SignalInterface, mounting: Array, *, back: bool) -> Callable[[Array], Array] | None:
    """Turn what a sensor measures into the body's frame; `mounting` (4,) wxyz is body_from_sensor."""
    inverse = mounting * (1.0, -1.0, -1.0, -1.0)
    if signal.frame == "body" and signal.order != XYZ:
        raise Refusal(f"the profile states a mounting for {signal.name}, which is no vector x y z and cannot be turned")
    if signal.frame == "body":
        turn = inverse if back else mounting
        return lambda vector: rotate(turn, vector)
    if signal.frame == "world_from_body":
        turn = mounting if back else inverse
        return lambda orientation: multiply(orientation, turn)
    return None


def _quality(profile: QoSProfile, reliability: str | None) -> QoSProfile:
    if reliability is None:
        return profile
    return QoSProfile(depth=profile.depth, reliability=_RELIABILITY[reliability], durability=profile.durability)
