"""The services of a policy node, for its operator. A request that cannot be met is answered with the reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from rclpy.node import Node
from std_srvs.srv import Trigger

from isthmus_deploy.controller import PolicyController
from isthmus_deploy.ros.node.hold_to_run import HoldToRun
from isthmus_deploy.ros.node.managed import REASONS
from isthmus_deploy.ros.ros2 import Refusal


class Services:
    """~/arm, ~/start, ~/stop, ~/emergency_stop, ~/disarm and ~/reset (std_srvs/Trigger), and ~/select/NAME for each
    policy where there are several.

    Args:
        node: Offers them.
        chain: Does what they ask for.
        arm: Checks the robot, and arms.
        hold_to_run: Is asked before starting; None where nobody has to hold a button.
        settle: Is called after what was done, before anything else is asked for.
    """

    def __init__(
        self,
        node: Node,
        chain: PolicyController,
        arm: Callable[[int], None],
        hold_to_run: HoldToRun | None,
        settle: Callable[[], None],
    ) -> None:
        self._chain, self._hold_to_run, self._settle = chain, hold_to_run, settle
        requests = {
            "arm": arm, "start": self._start, "stop": chain.stop, "emergency_stop": chain.damp,
            "disarm": chain.disarm, "reset": chain.reset,
        }  # fmt: skip
        if len(chain.drivers) > 1:
            requests |= {f"select/{name}": partial(self._select, name) for name in chain.drivers}
        for name, request in requests.items():
            node.create_service(Trigger, f"~/{name}", self._service(request))

    def _start(self, now_ns: int) -> None:
        released = self._hold_to_run and self._hold_to_run.problem(now_ns)
        if released:
            raise Refusal(f"cannot start: {released}")
        self._chain.start(now_ns)

    def _select(self, name: str, now_ns: int) -> None:
        self._chain.select(name)

    def _service(
        self, request: Callable[[int], None]
    ) -> Callable[[Trigger.Request, Trigger.Response], Trigger.Response]:
        def serve(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            try:
                request(time.monotonic_ns())
            except REASONS as error:
                response.success, response.message = False, str(error)
            else:
                response.success, response.message = True, self._chain.state.value
                self._settle()
            return response

        return serve
