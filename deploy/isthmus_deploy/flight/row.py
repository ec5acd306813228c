"""What is kept of one tick of the control loop: a row of fixed size, laid out by the policy's contract."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.limits import Command, Signal
from isthmus_deploy.safety.supervisor import State

STATES = tuple(State)
"""A row holds a state by its place in here; a bag says what they were when it was written."""
CAUSE_BYTES = 240
IMAGE_BYTES_PER_S = 10e6
"""Where a policy's cameras would give more than this, uncompressed, its images are left out."""

NUMBERS = (
    "tick",  # counts all ticks of the loop: those missing in between were not recorded
    "monotonic_ns",  # time at which the tick began, by the clock that the loop runs by
    "wall_ns",  # the same by the wall clock, which may step
    "latency_ns",  # from the reading that the tick answers to its command's publication; 0 where it answers none
    "work_ns",  # from the begin of the tick to the end of its record
    "activation",  # how often the policy has been started
    "policy",  # which one drives, by its place among the flight's policies
    "selected",  # which one is to drive: another than does while that has nothing to command yet
    "missed_readings",
    "overruns",
    "clipped_steps",
    "rate_limited_steps",
    "lost_rows",  # ticks that found no room: the recorder's process was too slow
)


class Layout:
    """Where everything is in a row.

    Args:
        contract: Names and shapes.
        images: Whether its images are kept.
        policies: How many policies the flight has.
    """

    def __init__(self, contract: Contract, *, images: bool, policies: int = 1) -> None:
        self.contract = contract
        self.signals = [signal for signal in contract.signals if signal.dtype != "uint8"]
        self.images = [signal for signal in contract.signals if signal.dtype == "uint8"] if images else []
        commands = _size(contract.commands)
        self.row = np.dtype(
            [
                ("numbers", "<i8", (len(NUMBERS),)),
                ("chunks", "<i8", (policies,)),  # how many have been taken from the inference of each policy
                ("ages_s", "<f8", (len(contract.signals),)),
                ("wanted", "<f8", (commands,)),
                ("sent", "<f8", (commands,)),
                ("signals", "<f4", (_size(self.signals),)),
                ("state", "u1"),
                ("has_wanted", "?"),
                ("has_sent", "?"),
                ("cause", f"S{CAUSE_BYTES}"),
                *((image_field(signal), "u1", signal.shape) for signal in self.images),
            ]
        )

    def signal_views(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Name -> (..., *shape) of every kept signal in rows (...); views where `rows` is a single row."""
        images = {signal.name: rows[image_field(signal)] for signal in self.images}
        return {**_views(rows["signals"], self.signals), **images}

    def command_views(self, rows: np.ndarray, field: str) -> dict[str, np.ndarray]:
        """Name -> (..., *shape) of every command in the field "wanted" or "sent" of rows (...)."""
        return _views(rows[field], self.contract.commands)


def image_field(signal: Signal) -> str:
    """The field of a row that holds this image."""
    return f"image_{signal.name}"


def images_fit(contract: Contract) -> bool:
    """Whether all images of a policy are few and small enough to be recorded."""
    size = sum(int(np.prod(signal.shape)) for signal in contract.signals if signal.dtype == "uint8")
    return size / contract.control_period_s <= IMAGE_BYTES_PER_S


def element_names(item: Signal | Command) -> list[str]:
    """What each element of a flattened signal or command is: "FL_hip_joint", or "x_2" where there are several rows."""
    rows = int(np.prod(item.shape[:-1]))
    return [name if rows == 1 else f"{name}_{row}" for row in range(rows) for name in item.order]


def _size(items: Sequence[Signal | Command]) -> int:
    return sum(int(np.prod(item.shape)) for item in items)


def _views(flat: np.ndarray, items: Sequence[Signal | Command]) -> dict[str, np.ndarray]:
    views, begin = {}, 0
    for item in items:
        end = begin + int(np.prod(item.shape))
        views[item.name] = flat[..., begin:end].reshape(*flat.shape[:-1], *item.shape)
        begin = end
    return views
