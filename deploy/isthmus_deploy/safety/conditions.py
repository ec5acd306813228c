"""What must hold of a robot, as training had it: margins judged, the nearest ones kept."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from isthmus_deploy.contracts.contract import Condition, Phase
from isthmus_deploy.safety.commands.filter import DriverFailed

Values = Mapping[str, np.ndarray]


class Conditions:
    """Judges the readings of each control period by a policy's conditions; without any, everything is fine.

    Args:
        conditions: What they are.
        margins: Readings by name -> (conditions,), how far each is from being broken: negative, or no number, it is.
            It may raise `DriverFailed`.
    """

    def __init__(self, conditions: Sequence[Condition] = (), margins: Callable[[Values], np.ndarray] | None = None):
        if conditions and margins is None:
            raise ValueError("conditions without anything that computes their margins")
        self._conditions, self._compute = conditions, margins
        phases: tuple[Phase, ...] = ("standby", "driven")
        self._holds = {phase: [i for i, item in enumerate(conditions) if phase in item.holds] for phase in phases}
        self._margins = [math.inf] * len(conditions)
        self._least = [math.inf] * len(conditions)

    def begin(self) -> None:
        """Forget how near the conditions were to being broken: the robot is armed."""
        self._least = [math.inf] * len(self._conditions)

    def judge(self, signals: Values, phase: Phase) -> str | None:
        """Why plausible readings, by name and unbatched, break a condition that holds in `phase`; None for none."""
        if self._compute is None:
            return None
        try:
            self._margins = margins = self._compute(signals).tolist()
        except DriverFailed as error:
            self._margins = [math.nan] * len(self._conditions)
            return str(error)
        for index in self._holds[phase]:
            if not margins[index] >= self._least[index]:
                self._least[index] = margins[index]
        return self.broken(phase)

    def broken(self, phase: Phase) -> str | None:
        """Why the readings that were judged last break a condition that holds in `phase`; None for none."""
        for index in self._holds[phase]:
            if self._margins[index] >= 0.0:
                continue
            item, beyond = self._conditions[index], -self._margins[index]
            how = f"{beyond:.3g} {item.unit} beyond what training had" if math.isfinite(beyond) else "not known"
            return f"{item.name}: {how} ({item.description})"
        return None

    @property
    def counters(self) -> dict[str, object]:
        """The smallest margin of each condition since the robot was armed, by name; what has not held yet is left
        out."""
        near = zip(self._conditions, self._least, strict=True)
        return {f"least_margin_{item.name}": float(f"{least:.4g}") for item, least in near if least < math.inf}
