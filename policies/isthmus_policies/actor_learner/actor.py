"""An operator that lets a learning policy drive, or somebody who takes over, and tells the learner what came of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from isthmus_datasets.recording.ending import Ending, ending
from isthmus_datasets.recording.operator import Controller, Decision, Event, Operator
from isthmus_datasets.recording.robot import Observation, RobotError
from isthmus_policies.actor_learner.driver import ActorDriver
from isthmus_policies.actor_learner.experience import Experience
from isthmus_policies.networks.policy import Tensors

_LEFT = (Event.DISCARD, Event.QUIT)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Step:
    """What was done, upon what."""

    observed: Tensors
    action: Tensor
    intervened: bool
    first: bool


class Actor:
    """Between the recorder and who decides: it sees every observation and every decision, and makes transitions of
    them.

    Args:
        hands: Who decides: the driver itself, or somebody over it (`teleop.operators.take_over.TakeOver`). Closed with
            this operator.
        driver: The policy that learns; what it proposes is there before `hands` are asked.
        experience: Where transitions go. It stays the caller's to close.
        steps: An episode's time is over after so many.
    """

    def __init__(self, hands: Operator, driver: ActorDriver, experience: Experience, *, steps: int) -> None:
        self.name = hands.name
        self.transitions = self.interventions = 0
        """Transitions that were told to the learner, and how many of them somebody else has driven."""
        self._hands, self._driver, self._experience, self._steps = hands, driver, experience, steps
        self._begin()

    def _begin(self) -> None:
        self._last: _Step | None = None
        self._recording, self._taken = False, 0

    def reset(self, seed: int) -> None:
        """A new episode begins; the one before was cut where it was not ended."""
        self._begin()
        self._driver.reset(seed)
        self._hands.reset(seed)

    def decide(self, observation: Observation) -> Decision:
        """The decision of `hands`. What the last one led to is told to the learner. Raises what the operators raise."""
        self._driver.look(observation)
        decision = self._hands.decide(observation)
        self._recording |= decision.event is Event.START
        if decision.event is Event.NONE and self._taken >= self._steps:
            decision = replace(decision, event=Event.TIME)
        end = ending(observation, decision.event, out_of_time=False) if self._recording else None
        left = decision.event in _LEFT
        intervened = decision.control is not Controller.POLICY
        if self._last is not None:
            self._tell(self._last, observation, end, left=left, taken=intervened and end is None)
        self._last = None
        if end is None and not left:
            self._act(decision, intervened)
        return decision

    def _act(self, decision: Decision, intervened: bool) -> None:
        driver = self._driver
        action = driver.action_of(decision.action) if intervened else driver.proposed
        if self._recording:
            seen = {name: value.clone() for name, value in driver.observed.items()}
            self._last = _Step(observed=seen, action=action, intervened=intervened, first=self._taken == 0)
            self._taken += 1
        driver.done(action)

    def _tell(self, step: _Step, after: Observation, end: Ending | None, *, left: bool, taken: bool) -> None:
        success = end is Ending.SUCCESS
        reward = float(success) if after.reward is None else after.reward
        if not math.isfinite(reward):
            raise RobotError(f"the robot tells a reward of {reward}, from which nobody shall learn")
        self._experience.write(
            {
                "before": _rows(step.observed),
                "after": _rows(self._driver.observed),
                "action": step.action[0].numpy(),
                "reward": reward,
                "terminated": success or end is Ending.FAILURE,
                "succeeded": success,
                "truncated": left or (end is not None and end.truncated),
                "intervened": step.intervened,
                "taken": taken and not step.intervened,
                "first": step.first,
            }
        )
        self.transitions += 1
        self.interventions += step.intervened

    def close(self) -> None:
        """Close who decides."""
        self._hands.close()


def _rows(tensors: Tensors) -> dict[str, Any]:
    return {name: value[0].numpy() for name, value in tensors.items()}
