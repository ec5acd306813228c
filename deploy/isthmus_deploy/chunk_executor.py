"""Chunks of actions become one action a control step: the only place that knows about time within a chunk.

The same class runs in evaluation and on the robot. Time is counted in control steps (ticks). An inference is asked for
by `request`, with what it shall begin near to, and its chunk given back by `add`, whenever that is; `action` takes what
belongs to a tick. It stands before the safety chain: where no chunk reaches a tick, `NoAction` says so, and the chain
stops the robot.
"""

import dataclasses
import math
from collections import deque
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Chunk = NDArray[np.floating]
"""(horizon, action_size)."""
Strategy = Literal["receding", "ensemble", "warm_start", "real_time"]
_LATENCIES = 10  # of the last inferences: the next one is expected to take as long as the longest


class ChunkError(ValueError):
    """A chunk that cannot be used; the message says why. The executor is as it was before."""


class NoAction(RuntimeError):  # noqa: N818 (it is what is there, and not always an error)
    """No chunk reaches the tick: it is late, or was lost."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExecutorConfig:
    """How chunks are executed.

    Raises:
        ValueError: the numbers do not fit together.
    """

    horizon: int
    """Actions of a chunk; the first one belongs to the tick of its observation."""
    execute: int = 8
    """Ticks from one inference to the next."""
    strategy: Strategy = "receding"
    """receding: actions of the newest chunk (Chi et al. 2023). ensemble: the mean of what all chunks say of a tick
    (Zhao et al. 2023). warm_start: the newest chunk, made near to what is left of the one before (RTI-DP).
    real_time: the same, and actions that are executed while the chunk is made stay as they are (Black et al. 2025,
    "Real-Time Execution of Action Chunking Flow Policies")."""
    decay: float = 0.01
    """ensemble: how fast the weight of a chunk falls with every newer one."""

    def __post_init__(self) -> None:
        if not 1 <= self.execute <= self.horizon:
            raise ValueError(
                f"{self.execute} actions of a chunk of {self.horizon} cannot be executed: 1 to {self.horizon}"
            )
        if not math.isfinite(self.decay) or self.decay < 0.0:
            raise ValueError(f"the weights' decay must be finite and not negative, not {self.decay}")

    @property
    def begins_near(self) -> bool:
        """Whether an inference begins near to what is left of the chunk before."""
        return self.strategy in ("warm_start", "real_time")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """An inference that was asked for.

    Args:
        number: Counts up.
        episode: Counts resets: what was asked for before one is of no use after it.
        tick: When its observation was made.
        init: (horizon, action_size): what is left of the newest chunk, its last action repeated; None to begin afresh.
        kept: (horizon,) from 0 to 1: how much each action of `init` shall stay as it is; None where none has to.
    """

    number: int
    episode: int
    tick: int
    init: Chunk | None
    kept: NDArray[np.float32] | None


class ChunkExecutor:
    """One robot's. Not thread-safe: the control loop owns it."""

    def __init__(self, config: ExecutorConfig, action_size: int):
        self.config, self._shape = config, (config.horizon, action_size)
        self._episode = self._number = 0
        self._latencies: deque[int] = deque(maxlen=_LATENCIES)
        self.reset()

    def reset(self) -> None:
        """An episode begins: chunks of the one before are forgotten, and those that are still on their way refused."""
        self._episode += 1
        self._chunks: deque[tuple[int, Chunk]] = deque(maxlen=self.config.horizon)
        self._newest = -1
        self._asked: int | None = None

    def due(self, tick: int) -> bool:
        """Whether the observation at `tick` is the next one to infer from."""
        return self._asked is None or tick - self._asked >= self.config.execute

    @property
    def empty(self) -> bool:
        """Whether the episode has had no chunk yet."""
        return not self._chunks

    def is_current(self, request: Request) -> bool:
        """Whether this episode has asked for it."""
        return request.episode == self._episode

    @property
    def expected_latency(self) -> int:
        """Ticks that the next inference will take, as far as the last ones tell."""
        return max(self._latencies, default=0)

    def request(self, tick: int) -> Request:
        """Ask for the inference from the observation at `tick`."""
        self._number, self._asked = self._number + 1, tick
        init = self._left(tick) if self.config.begins_near else None
        kept = self._kept(tick) if init is not None and self.config.strategy == "real_time" else None
        return Request(number=self._number, episode=self._episode, tick=tick, init=init, kept=kept)

    def add(self, request: Request, chunk: Chunk, tick: int) -> None:
        """Take the chunk that was made for a request, at `tick`.

        Raises:
            ChunkError: it has another shape, is not finite, is of an episode that is over, came a second time or after
                a newer one, before its own tick, or too late for any of its actions.
        """
        if chunk.shape != self._shape:
            raise ChunkError(f"a chunk has the shape {chunk.shape}, it must be {self._shape}")
        if not np.isfinite(chunk).all():
            raise ChunkError(
                f"chunk {request.number} is not finite at action {int(np.argwhere(~np.isfinite(chunk))[0, 0])}"
            )
        if not self.is_current(request):
            raise ChunkError(f"chunk {request.number} is of episode {request.episode}, this is {self._episode}")
        if request.number <= self._newest:
            raise ChunkError(f"chunk {request.number} came a second time, or after chunk {self._newest}")
        latency = tick - request.tick
        if latency < 0:
            raise ChunkError(f"chunk {request.number} begins at tick {request.tick}, it is tick {tick} only")
        self._latencies.append(latency)
        if latency >= self.config.horizon:
            raise ChunkError(f"chunk {request.number} came {latency} ticks late: it has {self.config.horizon} actions")
        self._newest = request.number
        self._chunks.append((request.tick, np.array(chunk)))

    def action(self, tick: int) -> NDArray[np.floating]:
        """(action_size,): what is to be done at `tick`. Raises NoAction where no chunk reaches it."""
        reaching = [(begin, chunk) for begin, chunk in self._chunks if 0 <= tick - begin < self.config.horizon]
        if not reaching:
            last = (
                f"the newest one ends before tick {self._chunks[-1][0] + self.config.horizon}"
                if self._chunks
                else "there is none"
            )
            raise NoAction(f"no chunk reaches tick {tick}: {last}")
        if self.config.strategy != "ensemble":
            begin, chunk = reaching[-1]
            return chunk[tick - begin]
        # Zhao et al. 2023 weigh the oldest chunk most.
        weights = np.exp(-self.config.decay * np.arange(len(reaching)))
        return np.average([chunk[tick - begin] for begin, chunk in reaching], axis=0, weights=weights)

    def _left(self, tick: int) -> Chunk | None:
        """The newest chunk from `tick` on, its last action repeated; None where nothing of it is left."""
        if not self._chunks or tick - self._chunks[-1][0] >= self.config.horizon:
            return None
        begin, chunk = self._chunks[-1]
        rows = np.arange(tick - begin, tick - begin + self.config.horizon).clip(max=self.config.horizon - 1)
        return chunk[rows]

    def _kept(self, tick: int) -> NDArray[np.float32]:
        """How much each action shall stay: wholly while the inference takes, then less, and not at all where the chunk
        before has none (Black et al. 2025, equation 5; what they execute of it is what has passed since its tick)."""
        left = self.config.horizon - (tick - self._chunks[-1][0])
        latency = min(self.expected_latency, left)
        share = ((left - np.arange(self.config.horizon)) / (left - latency + 1)).clip(0.0, 1.0)
        kept = share * np.expm1(share) / (math.e - 1.0)
        kept[:latency] = 1.0
        return kept.astype(np.float32)
