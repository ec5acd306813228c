"""The services of a policy node, for its operator. A request that cannot be met is answered with the reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from rclpy.node import Node
from std_srvs.srv import Trigger

from isthmus_deploy.controller import FIRST, PolicyController
from isthmus_deploy.ros.node.hold_to_run import HoldToRun
from isthmus_deploy.ros.node.readiness import Readiness
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_deploy.safety.chain import SafetyChain
from isthmus_deploy.safety.supervisor import TransitionError


class Services:
    """~/arm, ~/start, ~/stop, ~/emergency_stop, ~/disarm and ~/reset (std_srvs/Trigger).

    Args:
        node: Offers them.
        chain: Does what they ask for.
        readiness: Is asked before arming.
        hold_to_run: Is asked before starting; None where nobody has to hold a button.
    """

    def __init__(self, node: Node, chain: SafetyChain, readiness: Readiness, hold_to_run: HoldToRun | None) -> None:
        self._node, self._chain = node, chain
        self._readiness, self._hold_to_run = readiness, hold_to_run
        requests = {
            "arm": self._arm, "start": self._start, "stop": chain.stop, "emergency_stop": chain.damp,
            "disarm": chain.disarm, "reset": chain.reset,
        }  # fmt: skip
        for name, request in requests.items():
            node.create_service(Trigger, f"~/{name}", self._service(request))

    def offer_policies(self, controller: PolicyController, first: str, others: Sequence[str]) -> None:
        """Offer ~/select/NAME for each policy, where there are several: the `first` one and the others, by name."""
        for name in (first, *others) if others else ():
            service = self._service(partial(controller.select, FIRST if name == first else name))
            self._node.create_service(Trigger, f"~/select/{name}", service)

    def _arm(self, now_ns: int) -> None:
        self._readiness.check_ready()
        self._chain.arm(now_ns)

    def _start(self, now_ns: int) -> None:
        released = self._hold_to_run and self._hold_to_run.problem(now_ns)
        if released:
            raise Refusal(f"cannot start: {released}")
        self._chain.start(now_ns)

    def _service(
        self, request: Callable[[int], None]
    ) -> Callable[[Trigger.Request, Trigger.Response], Trigger.Response]:
        def serve(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            try:
                request(time.monotonic_ns())
            except (TransitionError, Refusal) as error:
                response.success, response.message = False, str(error)
            else:
                response.success, response.message = True, self._chain.state.value
            return response

        return serve
