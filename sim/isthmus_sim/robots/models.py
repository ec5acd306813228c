"""What callers that still take a model apart from its robot import; the front end itself is `isthmus_sim.models`."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus_sim.models.user_robot import robot_of

OWN = "own"


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """What had to be done to a model, a sentence each."""

    changes: tuple[str, ...] = ()


def load_model(source: str = OWN) -> LoadedModel:
    """What becomes of the quadruped on this model. Raises ModelError where it does not fit."""
    return LoadedModel() if source == OWN else LoadedModel(changes=robot_of(source, "quadruped")[1])
