"""The ROS node of a policy as a managed one: a lifecycle manager configures, activates and deactivates it.

https://design.ros2.org/articles/node_lifecycle.html names the states and what may be asked for in each.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, Protocol

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from isthmus_deploy.contracts.profile import ProfileError
from isthmus_deploy.policy.policy_file import PolicyFileError
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_deploy.safety.supervisor import TransitionError

REASONS = (Refusal, TransitionError, PolicyFileError, ProfileError)
"""What says in words why a request is not met."""


class Managed(Protocol):
    """What is configured, and what drives the robot. Each request raises one of `REASONS` where it cannot be met."""

    def configure(self) -> None: ...

    def activate(self) -> None: ...

    def deactivate(self) -> None: ...

    def clean_up(self) -> None: ...

    def shut_down(self) -> None:
        """End the process, a driven robot being laid down first."""
        ...

    def recover(self) -> bool:
        """After an error that nobody foresaw: give everything up where nothing moves; returns whether that is done."""
        ...


class ManagedNode(LifecycleNode):
    """Hands what is asked of it to its owner.

    A request that is refused leaves the state as it was. After an error that nobody foresaw the node is unconfigured
    again where the robot is not driven, and else the process ends.
    """

    def __init__(self, name: str, *, namespace: str | None = None) -> None:
        super().__init__(name, namespace=namespace)
        self._owner: Managed | None = None
        self._asks_itself = False
        self._reason: Exception | None = None
        # Out of rclpy's own callback a request that does not fit the state raises, which ends the process (rclpy#1209).
        service: Any = self._service_change_state
        self._change_state = service.callback
        service.callback = self._on_request

    def belong_to(self, owner: Managed) -> None:
        """Hand requests to `owner` from now on."""
        self._owner = owner

    @property
    def stage(self) -> str:
        """State of the lifecycle: unconfigured, inactive, active or finalized, or that of a transition."""
        return self._state_machine.current_state[1]

    def configure(self) -> None:
        """Ask it of itself. Raises what its owner did."""
        self._ask(self.trigger_configure)

    def activate(self) -> None:
        """Ask it of itself. Raises what its owner did."""
        self._ask(self.trigger_activate)

    def deactivate(self) -> None:
        """Ask it of itself. Raises what its owner did."""
        self._ask(self.trigger_deactivate)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and verify the policy, and join the robot's topics."""
        return self._hand_on("configure", lambda owner: owner.configure())

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Arm."""
        return self._hand_on("activate", lambda owner: owner.activate())

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to hand the robot over; it ramps out and lies down while the node is inactive already."""
        return self._hand_on("deactivate", lambda owner: owner.deactivate())

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Leave the robot's topics, and forget the policy."""
        return self._hand_on("clean up", lambda owner: owner.clean_up())

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Have the process end."""
        return self._hand_on("shut down", lambda owner: owner.shut_down())

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Recover where nothing moves; else have the process end."""
        assert self._owner is not None
        if self._owner.recover():
            return TransitionCallbackReturn.SUCCESS
        self._owner.shut_down()
        return TransitionCallbackReturn.FAILURE

    def _ask(self, trigger: Callable[[], TransitionCallbackReturn]) -> None:
        self._reason, self._asks_itself = None, True
        result = trigger()
        self._asks_itself = False
        if result is not TransitionCallbackReturn.SUCCESS:
            raise self._reason or Refusal("an error that nobody foresaw; the log has it")

    def _hand_on(self, what: str, request: Callable[[Managed], None]) -> TransitionCallbackReturn:
        assert self._owner is not None
        result = TransitionCallbackReturn.ERROR
        try:
            request(self._owner)
            result = TransitionCallbackReturn.SUCCESS
        except REASONS as reason:
            self._reason = reason
            if not self._asks_itself:  # a manager is told by the log alone
                self.get_logger().error(f"cannot {what}: {reason}")
            result = TransitionCallbackReturn.FAILURE
        finally:
            if result is TransitionCallbackReturn.ERROR:  # rclpy says nothing of what it catches
                self.get_logger().fatal(f"cannot {what}:\n{traceback.format_exc()}")
        return result

    def _on_request(self, request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
        allowed = {number: label for number, label, *_ in self._state_machine.available_transitions}
        wanted = request.transition.label or request.transition.id
        if wanted in allowed or wanted in allowed.values():
            return self._change_state(request, response)
        self.get_logger().error(
            f"cannot make the transition {wanted} in state {self.stage}; allowed here: {', '.join(allowed.values())}"
        )
        response.success = False
        return response
