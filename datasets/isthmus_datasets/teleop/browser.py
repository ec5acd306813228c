"""An operator who sits at the page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from isthmus_datasets.recording.operator import Decision, Event, Operator
from isthmus_datasets.recording.robot import Observation
from isthmus_datasets.teleop.markup import Phase
from isthmus_datasets.teleop.operators.take_over import TakeOver
from isthmus_datasets.teleop.operators.teleop_controller import TeleopController
from isthmus_datasets.teleop.page import Page

PATIENCE_S = 2.0
"""So long may the page be gone, as when it is loaded anew or the network falters, before the episode is discarded."""
_ENDS = (Event.SUCCESS, Event.STOP, Event.TIME, Event.DISCARD, Event.QUIT)


class BrowserOperator:
    """Drags and the gripper's slider move the guide before `operator` decides; after it the page shows what is.

    When no browser shows the page any more the robot holds still where it is. An episode that is being recorded then
    waits for `PATIENCE_S`, and is discarded: nobody knows how it would have gone on.

    Args:
        page: Closed by the caller.
        operator: Reads `page.device`, alone or with another device; closed with this one.
        guide: What `operator` moves; None where nothing can be dragged.
        rate_hz: Steps per second.
        at_page: Whether the person drives from the page; if they hold a device, it may be closed.
    """

    def __init__(
        self, page: Page, operator: Operator, guide: TeleopController | None, *, rate_hz: float, at_page: bool = True
    ) -> None:
        self.name = operator.name
        self._page, self._operator, self._guide, self._rate_hz = page, operator, guide, rate_hz
        self._at_page = at_page
        self._recording, self._steps, self._alone = False, 0, False
        self._sent: NDArray[Any] | None = None
        self.given_up = ""
        """Why the last episode was discarded, if nobody asked for that."""

    def reset(self, seed: int) -> None:
        """A new episode: waiting for somebody to start it."""
        self._recording, self._steps, self._sent, self.given_up = False, 0, None, ""
        self._page.renew()
        self._operator.reset(seed)

    def decide(self, observation: Observation) -> Decision:
        """Raises what the operator raises."""
        self._steps += self._recording
        self._move(observation)
        decision = self._given_up(self._operator.decide(observation))
        self._recording |= decision.event is Event.START
        self._sent = decision.action
        self._show(observation, decision)
        return decision

    def _move(self, observation: Observation) -> None:
        """The guide goes where it was dragged, or stays where the robot is as nobody is there."""
        if self._guide is None:
            return
        drag, gripper = self._page.device.take_drag(), self._page.device.take_gripper()
        if drag is not None:
            self._guide.goto(*drag)
        if gripper is not None:
            self._guide.gripper = gripper
        alone = self._at_page and self._page.device.alone_s > 0.0
        if alone and not self._alone:
            self._guide.reset(observation, self._sent)
        self._alone = alone

    def _given_up(self, decision: Decision) -> Decision:
        patient = not self._at_page or self._page.device.alone_s < PATIENCE_S
        if patient or not self._recording or decision.event in _ENDS:
            return decision
        self.given_up = "the page was closed"
        return replace(decision, event=Event.DISCARD)

    def _show(self, observation: Observation, decision: Decision) -> None:
        human = self._operator.human_in_control if isinstance(self._operator, TakeOver) else None
        self._page.show(observation, held=human is not False)
        if decision.event in _ENDS and self._recording:
            phase = Phase.SAVING
        else:
            phase = Phase.RECORDING if self._recording else Phase.WAITING
        self._page.panel.phase(phase, steps=self._steps, seconds=self._steps / self._rate_hz, human=human)

    def close(self) -> None:
        """Let go of the operator's devices."""
        self._operator.close()
