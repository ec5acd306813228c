"""How an episode came to its end."""

from __future__ import annotations

import enum

from isthmus_datasets.recording.operator import Event
from isthmus_datasets.recording.robot import Observation


class Ending(enum.Enum):
    """Why an episode that is kept has ended. The words are what datasets hold, as the fact "ending"."""

    SUCCESS = "success"
    """The task is done: the operator has said so, or the robot's world, which ends with it."""
    FAILURE = "failure"
    """The robot's world has ended, and the task is not done."""
    TIME = "time"
    """It has lasted as long as it may."""
    OPERATOR = "operator"
    """The operator has stopped it."""
    SENSORS = "sensors"
    """A camera or the robot was lost: what the last row led to is the last that was seen of it."""

    @property
    def truncated(self) -> bool:
        """Whether it would have gone on: what follows has a value, which a learner may bootstrap from."""
        return self in (Ending.TIME, Ending.OPERATOR, Ending.SENSORS)


_BY_EVENT = {Event.SUCCESS: Ending.SUCCESS, Event.STOP: Ending.OPERATOR, Event.TIME: Ending.TIME}


def ending(observation: Observation, event: Event, *, out_of_time: bool) -> Ending | None:
    """What ends an episode upon an observation and what the operator wants; None where it goes on. The operator's
    word that the task is done counts most, then the world, then the operator's other words."""
    if observation.ended and event is not Event.SUCCESS:
        return Ending.SUCCESS if observation.success else Ending.FAILURE
    return _BY_EVENT.get(event, Ending.TIME if out_of_time else None)
