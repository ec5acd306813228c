"""A policy of chunks in the safety chain: inferred beside the loop, executed in time, stopped when nothing is left."""

from collections.abc import Mapping

from isthmus_deploy.chunk_executor import ChunkError, ChunkExecutor, ExecutorConfig, NoAction
from isthmus_deploy.command_rows import CommandRows
from isthmus_deploy.policy.chunk_inference import Inferer, Job, Made
from isthmus_deploy.policy.reading_history import ReadingHistory
from isthmus_deploy.safety.chain import SafetyChain, Values
from isthmus_deploy.safety.commands.filter import DriverFailed, GoalLimiter
from isthmus_deploy.safety.conditions import Conditions
from isthmus_deploy.safety.monitor import OnAlarm, RuntimeMonitor, check_rule, heed
from isthmus_deploy.safety.supervisor import State
from isthmus_deploy.timing.histogram import LatencyHistogram
from isthmus_deploy.timing.tick_counter import TickCounter


class ChunkController(SafetyChain):
    """The chain that one policy of chunks drives.

    An episode begins with `start`: the first inference is asked for with the readings of the tick after it, as in
    evaluation. Until its chunk comes, stand-by goes on in the state ramp-in; the ramp begins with the first command. A
    first chunk that has not come when its last action would be due is a fault, as at any time a tick that no chunk
    reaches. Chunks that cannot be used are refused and counted, and the robot goes on with those that it has.

    Ticks are control periods of monotonic time: after a loop that skipped some, the action is that of now. A goal that
    is plausible but was never asked in training is held to the trained range before it is inferred from.

    Args:
        inferer: Runs the loaded policy.
        conditions: Those of the policy, by default none.
        ramp_s: Time in which the policy takes over from the stand-by command.
        on_alarm: What is done when the policy's monitor says that it is out of its depth.

    Raises:
        ValueError: it is no policy of chunks, or an alarm cannot do what it shall.
    """

    def __init__(
        self,
        inferer: Inferer,
        *,
        conditions: Conditions | None = None,
        ramp_s: float = 0.3,
        on_alarm: OnAlarm = "tell",
    ):
        contract = inferer.model.contract
        chunk = contract.chunk
        if chunk is None:
            raise ValueError("the policy gives no chunks: a PolicyController drives it step by step")
        super().__init__(contract, conditions=conditions, ramp_s=ramp_s)
        check_rule(on_alarm, contract)
        self._monitor = None if contract.monitor is None else RuntimeMonitor(contract.monitor)
        self._on_alarm: OnAlarm = on_alarm
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
        self.inference_time = LatencyHistogram()
        """Time from the tick that asks for a chunk to the one that takes it."""
        self.taken_chunks = 0
        """Chunks since the start of the process that came from the inference."""
        self.refused_chunks = 0
        """Chunks since the start of the process that could not be used."""
        self.last_refusal = ""
        """Why the last one of this episode could not."""

    @property
    def clamped_goals(self) -> int:
        """Steps since the start of the process in which a goal was outside what training asked, and was held to it."""
        return self._goals.clamped_steps

    @property
    def alarm(self) -> str | None:
        """What the monitor says, while it says that the policy is out of its depth."""
        return self._monitor.cause if self._monitor and self._monitor.alarm else None

    @property
    def counters(self) -> dict[str, object]:
        """What diagnostics tell, by name."""
        return {
            **super().counters,
            **(self._monitor.counters if self._monitor else {}),
            "clamped_goals": self.clamped_goals,
            "refused_chunks": self.refused_chunks,
            "last_refusal": self.last_refusal,
            "inferences": self.inference_time.count,
            "inference_p50_us": round(self.inference_time.percentile_ns(50) / 1e3),
            "inference_p99_us": round(self.inference_time.percentile_ns(99) / 1e3),
            "inference_max_us": round(self.inference_time.max_ns / 1e3),
            "tolerated_latency_us": round(1e6 * self._tolerated_s),
        }

    def start(self, now_ns: int) -> None:
        """stand-by → ramp-in: an episode begins. What was asked for before is refused when it comes.

        Raises:
            TransitionError: as the chain does.
        """
        super().start(now_ns)
        self._goals.reset()
        self._executor.reset()
        self._history.clear()
        self._ticks.reset()
        self._asked_ns = None
        self.last_refusal = ""
        if self._monitor is not None:
            self._monitor.begin()

    def tick(self, signals: Values, ages_s: Mapping[str, float], now_ns: int) -> Values:
        """One control period, driven by the policy: `drive` says what goes in and out."""
        try:
            self._watch(now_ns)
        except DriverFailed as error:
            if self.state.driven:
                self.fault(now_ns, str(error))
        return self.drive(signals, ages_s, now_ns, lambda: self._wanted(signals, now_ns))

    def close(self) -> bool:
        """End the inference. Returns False for one that hangs; it ends with the process."""
        return self._inferer.close()

    def _watch(self, now_ns: int) -> None:
        """Heed what the monitor says of this episode's inferences. Raises DriverFailed where it cannot say anything."""
        while (scored := self._inferer.take_scores()) is not None:
            if self._monitor is None or self.state not in (State.RAMP_IN, State.RUNNING):
                continue
            if self._executor.is_current(scored.request):
                self._monitor.see(scored.scores)
                heed(self, self._monitor, self._on_alarm, now_ns)

    def _wanted(self, signals: Values, now_ns: int) -> Values | None:
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
