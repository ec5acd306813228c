"""A policy of chunks: inferred beside the loop, executed in time, at an end when nothing is left."""

from __future__ import annotations

import numpy as np

from isthmus_deploy.chunk_executor import ChunkError, ChunkExecutor, ExecutorConfig, NoAction
from isthmus_deploy.command_rows import CommandRows
from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.drivers.driver import Values
from isthmus_deploy.policy.chunk_inference import Inferer, Job, Made
from isthmus_deploy.policy.reading_history import ReadingHistory
from isthmus_deploy.safety.commands.filter import DriverFailed, GoalLimiter
from isthmus_deploy.safety.conditions import Conditions
from isthmus_deploy.safety.monitor import RuntimeMonitor
from isthmus_deploy.timing.histogram import LatencyHistogram
from isthmus_deploy.timing.tick_counter import TickCounter


class ChunkDriver:
    """Drives by what the newest chunks say of each tick.

    In an episode the first inference is asked for with the readings of its first tick, as in evaluation. Until its
    chunk comes nothing is wanted; one that has not come when its last action would be due is a failure, as at any time
    a tick that no chunk reaches. Chunks that cannot be used are refused and counted, and those that there are go on.

    Ticks are control periods of monotonic time: after a loop that skipped some, the action is that of now. A goal that
    is plausible but was never asked in training is held to the trained range before it is inferred from.

    Args:
        inferer: Runs the loaded policy.

    Raises:
        ValueError: it is no policy of chunks.
    """

    def __init__(self, inferer: Inferer):
        contract = inferer.model.contract
        chunk = contract.chunk
        if chunk is None:
            raise ValueError("the policy gives no chunks: a StepDriver drives it")
        self._inferer = inferer
        self._horizon = chunk.horizon
        self._tolerated_s = chunk.tolerated_latency_s
        self._goals = GoalLimiter(contract)
        self._history = ReadingHistory([signal.name for signal in contract.signals], chunk.observed)
        self._rows = CommandRows(contract.commands, chunk.horizon)
        config = ExecutorConfig(horizon=chunk.horizon, execute=chunk.execute, strategy=chunk.strategy)
        self._executor = ChunkExecutor(config, self._rows.size)
        self._ticks = TickCounter(contract.control_period_s)
        self._asked_ns: int | None = None
        self.monitor = None if contract.monitor is None else RuntimeMonitor(contract.monitor)
        """Judges the scores of its inferences; None for a policy that is not watched."""
        self.inference_time = LatencyHistogram()
        """Time from the tick that asks for a chunk to the one that takes it."""
        self.taken_chunks = 0
        """Chunks since the start of the process that came from the inference."""
        self.refused_chunks = 0
        """Chunks since the start of the process that could not be used."""
        self.last_refusal = ""
        """Why the last one of this episode could not."""

    @property
    def contract(self) -> Contract:
        """The policy's."""
        return self._inferer.model.contract

    @property
    def digest(self) -> str:
        """The policy's, as 64 hexadecimal digits."""
        return self._inferer.model.digest

    @property
    def clamped_goals(self) -> int:
        """Steps since the start of the process in which a goal was outside what training asked, and was held to it."""
        return self._goals.clamped_steps

    @property
    def counters(self) -> dict[str, object]:
        """What diagnostics tell of its inferences and of its monitor, by name."""
        watched = {} if self.monitor is None else self.monitor.counters
        return {
            **watched,
            "refused_chunks": self.refused_chunks,
            "last_refusal": self.last_refusal,
            "inferences": self.inference_time.count,
            "inference_p50_us": round(self.inference_time.percentile_ns(50) / 1e3),
            "inference_p99_us": round(self.inference_time.percentile_ns(99) / 1e3),
            "inference_max_us": round(self.inference_time.max_ns / 1e3),
            "tolerated_latency_us": round(1e6 * self._tolerated_s),
        }

    def conditions(self) -> Conditions:
        """Judges readings by the policy's conditions; a new one, which nothing was judged by yet."""
        return self._inferer.model.conditions()

    def begin(self) -> None:
        """An episode begins with the next tick. What was asked for before is refused when it comes."""
        self._goals.reset()
        self._executor.reset()
        self._history.clear()
        self._ticks.reset()
        self._asked_ns = None
        self.last_refusal = ""
        if self.monitor is not None:
            self.monitor.begin()

    def wanted(self, signals: Values, now_ns: int) -> Values | None:
        """The commands of this tick; None until the episode's first chunk. Raises DriverFailed where there are none."""
        periods = self._ticks.count(now_ns)
        self._history.see(self._goals.apply(signals), periods)
        self._take(now_ns)
        if self._inferer.free and self._executor.due(self._ticks.tick):
            self._ask(now_ns)
            self._take(now_ns)
        try:
            return self._rows.split(self._executor.action(self._ticks.tick))
        except NoAction as error:
            if self._executor.empty and self._ticks.tick < self._horizon:
                return None
            raise DriverFailed(f"{error}{self._reason(now_ns)}") from error

    def take_scores(self) -> np.ndarray | None:
        """Scores (scores,) of an inference of this episode that have come; None where there are no more. Raises
        DriverFailed where the monitor's graph cannot be computed."""
        while (scored := self._inferer.take_scores()) is not None:
            if self._executor.is_current(scored.request):
                return scored.scores
        return None

    def close(self) -> bool:
        """End the inference. Returns False for one that hangs; it ends with the process."""
        return self._inferer.close()

    def _ask(self, now_ns: int) -> None:
        request = self._executor.request(self._ticks.tick)
        begin = None if request.init is None else self._rows.split(request.init)
        self._asked_ns = now_ns
        self._inferer.submit(Job(request=request, windows=self._history.windows(), begin=begin))

    def _take(self, now_ns: int) -> None:
        while (made := self._inferer.take()) is not None:
            self.taken_chunks += 1
            if self._asked_ns is not None:  # asked for in this episode
                self.inference_time.record(now_ns - self._asked_ns)
                self._asked_ns = None
            self._add(made)

    def _add(self, made: Made) -> None:
        try:
            self._executor.add(made.request, self._rows.join(made.chunks), self._ticks.tick)
        except ChunkError as error:
            self.refused_chunks += 1
            self.last_refusal = str(error)

    def _reason(self, now_ns: int) -> str:
        """What is known of why there is no chunk, to be appended."""
        reasons = [f"; last refused: {self.last_refusal}"] if self.last_refusal else []
        if self._asked_ns is None and not self._inferer.free:
            reasons.append("; an inference from before the start is still under way")
        elif self._asked_ns is not None and self._asked_ns < now_ns:
            taken_s = 1e-9 * (now_ns - self._asked_ns)
            reasons.append(f"; an inference has taken {taken_s:.3g} s so far, tolerated are {self._tolerated_s:.3g} s")
        return "".join(reasons)
