"""Whether a policy is out of its depth: scores of its inferences, averaged over the last ones, held to thresholds.

Römer et al. 2025, "Failure Prediction at Runtime for Generative Robot Policies" (arXiv 2510.09459): what is seen is new
to the policy, AND it does not know what to do. What is new alone is often harmless. The same classes calibrate the
thresholds in simulation.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.monitor_data import Monitor
from isthmus_deploy.safety.chain import SafetyChain

OnAlarm = Literal["tell", "hold", "stop"]
"""What an alarm does while the robot is driven. tell: nothing but to be told. hold: the robot goes to stand-by, and
waits until the operator starts it again. stop: it is stopped."""


class ScoreWindow:
    """The mean of an episode's last scores. There is none of fewer: single scores of the begin, where a policy is most
    undecided, would set a threshold that no mean ever reaches again.

    Args:
        window: How many.
    """

    def __init__(self, window: int):
        self._window = window
        self._rows: deque[np.ndarray] = deque(maxlen=window)

    def clear(self) -> None:
        """An episode begins."""
        self._rows.clear()

    def see(self, scores: np.ndarray) -> np.ndarray | None:
        """Take the scores (n,) of an inference. Returns the means (n,) with them; None where there are too few yet."""
        self._rows.append(np.array(scores, np.float64))
        return np.mean(self._rows, axis=0) if len(self._rows) == self._window else None


class RuntimeMonitor:
    """Judges the scores of each inference as the contract says.

    Args:
        monitor: What the scores are, and their thresholds.
    """

    def __init__(self, monitor: Monitor):
        self._scores = monitor.scores
        self._thresholds = np.array([score.threshold for score in monitor.scores])
        self._window = ScoreWindow(monitor.window)
        self._means: np.ndarray | None = None
        self.alarm = False
        """Whether the means of all scores exceed their thresholds. One that is no number does."""
        self.alarms = 0
        """How often that has begun, since the start of the process."""

    def begin(self) -> None:
        """An episode begins."""
        self._window.clear()
        self._means, self.alarm = None, False

    def see(self, scores: np.ndarray) -> None:
        """Take the scores of an inference, (scores,)."""
        self._means = self._window.see(scores)
        alarm = self._means is not None and not (self._means <= self._thresholds).any()
        self.alarms += alarm and not self.alarm
        self.alarm = alarm

    @property
    def cause(self) -> str:
        """What the last scores say, in words."""
        means = np.full(len(self._scores), np.nan) if self._means is None else self._means
        told = (
            f"{score.name} {mean:.3g}, threshold {score.threshold:.3g}"
            for score, mean in zip(self._scores, means, strict=True)
        )
        return f"the policy is out of its depth: {'; '.join(told)}"

    @property
    def counters(self) -> dict[str, object]:
        """What diagnostics tell, by name; without scores where there are too few in this episode yet."""
        means = {} if self._means is None else dict(zip(self._scores, self._means.tolist(), strict=True))
        told = {f"monitor_{score.name}": float(f"{mean:.4g}") for score, mean in means.items()}
        limits = {f"monitor_{score.name}_threshold": float(f"{score.threshold:.4g}") for score in self._scores}
        return {"monitor_alarm": self.alarm, "monitor_alarms": self.alarms, **told, **limits}


def check_rule(on_alarm: OnAlarm, policy: str, contract: Contract) -> None:
    """Raise ValueError where an alarm of a policy of that name could not do what it shall."""
    if on_alarm != "tell" and contract.monitor is None:
        raise ValueError(
            f"cannot {on_alarm} on an alarm: the policy {policy} has no monitor; isthmus-export --false-alarms adds one"
        )
    if on_alarm == "hold" and not any(command.transition_rate for command in contract.commands):
        raise ValueError(f"cannot hold on an alarm: {contract.robot} has no stand-by to rest in; choose tell or stop")


def heed(chain: SafetyChain, monitor: RuntimeMonitor, on_alarm: OnAlarm, now_ns: int) -> None:
    """Do what an alarm shall do to a robot that is driven; nothing where there is none."""
    if not monitor.alarm:
        return
    if on_alarm == "hold":
        chain.hold(now_ns, monitor.cause)
    elif on_alarm == "stop":
        chain.stop(now_ns, monitor.cause)
