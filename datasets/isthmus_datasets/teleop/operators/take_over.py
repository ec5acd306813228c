"""A policy or script that drives, and a person who may take over and give back."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from isthmus_datasets.recording.operator import Decision, Driver, Event, Operator
from isthmus_datasets.recording.robot import Observation


class Human(Operator, Protocol):
    """An operator who can take over without a jump."""

    @property
    def wants_control(self) -> bool | None:
        """What was said with the last decision: True takes over, False gives back, None neither."""
        ...

    def align(self, observation: Observation, *, recording: bool, sent: NDArray[Any] | None = None) -> None:
        """Somebody else drives: whatever is decided next begins from where the robot is now. `recording`: whether the
        episode has been started; `sent`: the action before, if there was one."""
        ...


class TakeOver:
    """The other operator drives until the human takes over, and goes on when the human gives back.

    While the other drives, the human's target stays where the robot is, so that there is no jump when control changes
    hands. From START on, or from when it first drives, the other is asked upon every observation, whoever drives, so
    that what it remembers is never old and it is known what it would have done. Whenever control changes hands it is
    told to plan anew: what it planned for itself says nothing of where a person has brought the robot. The human's
    events count first, and those of the other once it has driven. `take` and `give_back` may be called from any thread;
    they hold from the next decision on.

    Args:
        human: A person. Closed with this operator, as is the next.
        other: A policy or a script.
        human_first: The human has control when an episode begins, until it is given back.
    """

    def __init__(self, human: Human, other: Driver, *, human_first: bool = False) -> None:
        self.name = f"{human.name} over {other.name}"
        self._human, self._other, self._human_first = human, other, human_first
        self._begin()

    def _begin(self) -> None:
        self.human_in_control = self._human_first
        """Whether the person was in control in the last decision."""
        self._asked: bool | None = None
        self._last: NDArray[Any] | None = None
        self._other_asked = self._other_drove = self._recording = False

    def take(self) -> None:
        """The human takes over."""
        self._asked = True

    def give_back(self) -> None:
        """The other goes on."""
        self._asked = False

    def reset(self, seed: int) -> None:
        """A new episode begins. Raises what the operators' raise."""
        self._begin()
        self._human.reset(seed)
        self._other.reset(seed)

    def decide(self, observation: Observation) -> Decision:
        """The decision of whoever is in control."""
        if not self.human_in_control:
            self._human.align(observation, recording=self._recording, sent=self._last)
        human = self._human.decide(observation)
        self._switch(self._human.wants_control)
        self._other_drove |= not self.human_in_control
        self._other_asked |= self._other_drove or human.event is Event.START
        other = self._other.decide(observation) if self._other_asked else None
        driver = human if other is None or self.human_in_control else other
        event = human.event
        if event is Event.NONE and other is not None and self._other_drove:
            event = other.event
        self._recording |= event is Event.START
        self._last = driver.action.copy()
        planned = None if other is None else other.action
        return Decision(action=driver.action, control=driver.control, event=event, policy=planned)

    def _switch(self, wanted: bool | None) -> None:
        asked, self._asked, before = self._asked, None, self.human_in_control
        for wish in (wanted, asked):
            if wish is not None:
                self.human_in_control = wish
        if before != self.human_in_control and self._other_asked:
            self._other.resume()

    def close(self) -> None:
        """Close both operators."""
        try:
            self._human.close()
        finally:
            self._other.close()
