"""What a policy controller asks of who drives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.safety.conditions import Conditions
from isthmus_deploy.safety.monitor import RuntimeMonitor

Values = Mapping[str, np.ndarray]


class Driver(Protocol):
    """One loaded policy, and all that it keeps while it drives. The control loop owns it."""

    @property
    def contract(self) -> Contract:
        """The policy's."""
        ...

    @property
    def digest(self) -> str:
        """The policy's, as 64 hexadecimal digits."""
        ...

    @property
    def monitor(self) -> RuntimeMonitor | None:
        """Judges its scores, which whoever takes them hands on; None for a policy that is not watched."""
        ...

    @property
    def taken_chunks(self) -> int:
        """Chunks that came from its inference, since the start of the process."""
        ...

    @property
    def clamped_goals(self) -> int:
        """Steps since the start of the process in which a goal was outside what training asked, and was held to it."""
        ...

    @property
    def counters(self) -> dict[str, object]:
        """What diagnostics tell of it and of its monitor, by name."""
        ...

    def conditions(self) -> Conditions:
        """Judges readings by the policy's conditions; a new one, which nothing was judged by yet."""
        ...

    def begin(self) -> None:
        """An episode begins with the next tick, for its monitor too: nothing of the one before counts."""
        ...

    def wanted(self, signals: Values, now_ns: int) -> Values | None:
        """What it wants in this control period, by name, of plausible readings; None until it has something.

        Raises:
            DriverFailed: it has nothing, and will not have anything in time.
        """
        ...

    def take_scores(self) -> np.ndarray | None:
        """Scores (scores,) of this episode for the monitor that have come since the last call; None where there are no
        more.

        Raises:
            DriverFailed: they cannot be computed.
        """
        ...

    def close(self) -> bool:
        """End what it runs beside the loop. Returns False for what hangs; it ends with the process."""
        ...
