"""What the policy node says of itself on /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from isthmus_deploy.safety.supervisor import State

_LEVELS = {
    State.FAULT: DiagnosticStatus.ERROR,
    State.STOPPED: DiagnosticStatus.WARN,
    State.DAMPING: DiagnosticStatus.WARN,
}
STATUS_NAME = "policy_node: policy"


def diagnostics(
    stamp: Any, *, robot: str, state: State, cause: str | None, values: Mapping[str, object]
) -> DiagnosticArray:
    """One status in a DiagnosticArray: error in fault, warning when stopped and wherever there is a cause. Its values
    start with state and cause."""
    pairs = {"state": state.value, "cause": cause or "", **values}
    status = DiagnosticStatus(
        level=_LEVELS.get(state, DiagnosticStatus.WARN if cause else DiagnosticStatus.OK),
        name=STATUS_NAME,
        hardware_id=robot,
        message=f"{state.value}: {cause}" if cause else state.value,
        values=[KeyValue(key=key, value=str(value)) for key, value in pairs.items()],
    )
    message = DiagnosticArray(status=[status])
    message.header.stamp = stamp
    return message


def read_diagnostics(message: DiagnosticArray) -> dict[str, str] | None:
    """The policy node's values in a DiagnosticArray, by key; None when it comes from somebody else."""
    for status in message.status:
        if status.name == STATUS_NAME:
            return {pair.key: pair.value for pair in status.values}
    return None
