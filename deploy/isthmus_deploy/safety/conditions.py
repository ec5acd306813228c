"""What must hold of a robot, as training had it: margins judged, the nearest ones kept."""

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
        self._holds = {phase: np.array([phase in item.holds for item in conditions], bool) for phase in phases}
        self._margins = np.full(len(conditions), np.inf)
        self._least = np.full(len(conditions), np.inf)

    def begin(self) -> None:
        """Forget how near the conditions were to being broken: the robot is armed."""
        self._least.fill(np.inf)

    def judge(self, signals: Values, phase: Phase) -> str | None:
        """Why plausible readings, by name and unbatched, break a condition that holds in `phase`; None for none."""
        if self._compute is None:
            return None
        try:
            np.copyto(self._margins, self._compute(signals))
        except DriverFailed as error:
            self._margins.fill(np.nan)
            return str(error)
        np.minimum(self._least, self._margins, out=self._least, where=self._holds[phase])
        return self.broken(phase)

    def broken(self, phase: Phase) -> str | None:
        """Why the readings that were judged last break a condition that holds in `phase`; None for none."""
        broken = self._holds[phase] & ~(self._margins >= 0.0)
        if not broken.any():
            return None
        index = int(np.argmax(broken))
        item, beyond = self._conditions[index], -self._margins[index]
        how = f"{beyond:.3g} {item.unit} beyond what training had" if np.isfinite(beyond) else "not known"
        return f"{item.name}: {how} ({item.description})"

    @property
    def counters(self) -> dict[str, object]:
        """The smallest margin of each condition since the robot was armed, by name; what has not held yet is left
        out."""
        near = zip(self._conditions, self._least.tolist(), strict=True)
        return {f"least_margin_{item.name}": float(f"{least:.4g}") for item, least in near if least < np.inf}
