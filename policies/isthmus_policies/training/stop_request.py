"""Ctrl-C while something is trained: it stops where it can go on from."""

from __future__ import annotations

import signal
from types import FrameType

from isthmus_policies import distributed


class StopRequest:
    """While entered, turns the first Ctrl-C (or SIGTERM) into a request to stop between iterations; a second one is as
    usual."""

    asked = False

    def __enter__(self) -> StopRequest:
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def anywhere(self) -> bool:
        """Whether any process was asked to stop: then all do, after the same iteration."""
        return distributed.total(self.asked) != [0.0]

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(number, signal.default_int_handler)
