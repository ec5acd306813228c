"""What the controllers of ros2_control say of themselves: the order in which they take their joints."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from rcl_interfaces.srv import GetParameters

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.profile import Profile
from isthmus_deploy.ros.ros2 import Link, Refusal

_PARAMETER = "joints"


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
    response = answer.result() if answer.done() else None
    if response is None:
        raise Refusal(
            f"the controller {controller} does not say which joints it takes: is it running, and is this its node's "
            "name? For one that cannot be asked, the profile states their order"
        )
    joints = tuple(response.values[0].string_array_value) if response.values else ()
    if not joints:
        raise Refusal(f"the controller {controller} has no parameter {_PARAMETER!r} that names joints")
    return joints
