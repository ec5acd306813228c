"""What the controllers of ros2_control say of themselves: the order in which they take their joints."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from rclpy.task import Future

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.profile import Profile
from isthmus_deploy.ros.ros2 import Link, Refusal

_PARAMETER = "joints"
_SILENT_S = 3.0  # they are asked once a second


def controller_orders(
    link: Link, profile: Profile, contract: Contract, deadline_ns: int, stop: Callable[[], object] = lambda: False
) -> dict[str, tuple[str, ...]]:
    """The driver's joints in the order of each command's message, by command, for those whose profile says it or names
    a controller that does: forward controllers take bare arrays, in the order of their parameter `joints`.

    Raises:
        Refusal: a controller does not answer until `deadline_ns` (monotonic), or has no joints.
    """
    orders: dict[str, tuple[str, ...]] = {}
    for command in contract.commands:
        stated = profile.commands.get(command.name)
        if stated is not None and stated.order is not None:
            orders[command.name] = stated.order
        if stated is not None and stated.controller is not None:
            orders[command.name] = controller_joints(link, stated.controller, deadline_ns, stop)
    return orders


def controller_joints(
    link: Link, controller: str, deadline_ns: int, stop: Callable[[], object] = lambda: False
) -> tuple[str, ...]:
    """The parameter `joints` of a controller's node, by the node's name.

    Raises:
        Refusal: nobody answers until `deadline_ns` (monotonic), or the parameter holds no names.
    """
    name = f"{link.node.get_name()}_asks"  # this may be a callback of `link`, which cannot wait then
    with closing(Link(name, link.node.get_namespace())) as aside:
        client = aside.node.create_client(GetParameters, f"{controller}/get_parameters")
        aside.wait_until(deadline_ns, lambda: client.service_is_ready() or stop())
        answer = client.call_async(GetParameters.Request(names=[_PARAMETER]))
        aside.wait_until(deadline_ns, lambda: answer.done() or stop())
    joints = _joints(answer.result()) if answer.done() else None
    if joints is None:
        raise Refusal(
            f"the controller {controller} does not say which joints it takes: is it running, and is this its node's "
            "name? For one that cannot be asked, the profile states their order"
        )
    if not joints:
        raise Refusal(f"the controller {controller} has no parameter {_PARAMETER!r} that names joints")
    return joints


def _joints(response: GetParameters.Response | None) -> tuple[str, ...] | None:
    """The joints in an answer, none where it has no such parameter; None for no answer."""
    if response is None:
        return None
    told = next(iter(response.values), None)
    return () if told is None else tuple(told.string_array_value)


class ControllerWatch:
    """Whether the controllers still take their joints in the order that commands are written in: one that is started
    anew may not, and a bare array does not show it.

    Args:
        node: Asks them; nothing waits for their answers.
        profile: Names them; None for a robot that has none.
        orders: What they said when they were asked first, by command.
        clock: Monotonic time in nanoseconds.
    """

    def __init__(
        self,
        node: Node,
        profile: Profile | None,
        orders: Mapping[str, Sequence[str]],
        *,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._clock = clock
        stated = {} if profile is None else profile.commands
        asked = {item.controller: tuple(orders[name]) for name, item in stated.items() if item.controller}
        self._controllers = [_Controller(node, name, joints, clock()) for name, joints in asked.items()]

    def ask(self) -> None:
        """Ask them again, while nothing moves."""
        for controller in self._controllers:
            controller.ask(self._clock)

    def problem(self) -> str | None:
        """Why the robot may not be armed, by their last answers; None where it may."""
        problems = (controller.problem(self._clock()) for controller in self._controllers)
        return next(filter(None, problems), None)


class _Controller:
    def __init__(self, node: Node, name: str, joints: tuple[str, ...], now_ns: int) -> None:
        self._name, self._joints = name, joints
        self._said: tuple[str, ...] = joints
        self._heard_ns = now_ns
        self._client = node.create_client(GetParameters, f"{name}/get_parameters")
        self._pending: Future | None = None

    def ask(self, clock: Callable[[], int]) -> None:
        if self._pending is not None:
            self._client.remove_pending_request(self._pending)
            self._pending = None
        if self._client.service_is_ready():
            self._pending = self._client.call_async(GetParameters.Request(names=[_PARAMETER]))
            self._pending.add_done_callback(lambda answer: self._hear(answer, clock()))

    def problem(self, now_ns: int) -> str | None:
        if self._said != self._joints:
            now, before = ", ".join(self._said) or "none", ", ".join(self._joints)
            return f"the controller {self._name} takes the joints {now}, it took {before}: configure this node anew"
        silent_s = 1e-9 * (now_ns - self._heard_ns)
        if silent_s > _SILENT_S:
            silence = f"for {silent_s:.1f} s which joints it takes"
            return f"the controller {self._name} has not said {silence}: is it running?"
        return None

    def _hear(self, answer: Future, now_ns: int) -> None:
        joints = _joints(answer.result())
        if joints is not None:
            self._said, self._heard_ns = joints, now_ns
