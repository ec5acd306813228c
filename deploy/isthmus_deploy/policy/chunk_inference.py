"""Who makes the chunks: the control loop itself, or a thread beside it. One inference at a time, and none waits in
line, so that each begins from the newest readings.
"""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

import numpy as np

from isthmus_deploy.chunk_executor import Request
from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.safety.commands.filter import DriverFailed
from isthmus_deploy.safety.conditions import Conditions

Values = Mapping[str, np.ndarray]

Result = TypeVar("Result")

_END_S = 2.0  # how long an inference that is under way is waited for at the end


class InferenceFailed(DriverFailed):
    """The policy raised, or who ran it is no more; the message says what happened."""


class ChunkModel(Protocol):
    """What makes chunks: a `Runtime` whose contract has a `chunk`."""

    @property
    def contract(self) -> Contract:
        """Says how its chunks are run, beside the limits."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the policy, as 64 hexadecimal digits."""
        ...

    def conditions(self) -> Conditions:
        """Judges readings by the policy's conditions; a new one, which nothing was judged by yet."""
        ...

    def step(self, signals: Values, noise: Values | None = None, begin: Values | None = None) -> Values:
        """Chunks (horizon, *shape) by command, from (observed, *shape) by signal. They may be overwritten by the next
        step. `begin` holds the chunks to begin near to, in the form of those that are given; None to begin afresh."""
        ...

    @property
    def scores(self) -> Callable[[Values], np.ndarray] | None:
        """Computes the monitor's scores (scores,) from (observed, *shape) by signal, overwritten by the next call; None
        for a policy that is not watched."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One inference to make: the request, (observed, *shape) by signal, and the chunks to begin near to, if any."""

    request: Request
    windows: Values
    begin: Values | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """What an inference gave: (horizon, *shape) by command; the model's own arrays, valid until the next job."""

    request: Request
    chunks: Values


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """What the monitor's graph makes of what was inferred from."""

    request: Request
    scores: np.ndarray


class Inferer(Protocol):
    """Runs a model. The control loop owns it, and none of its methods but `close` waits for another thread."""

    @property
    def model(self) -> ChunkModel:
        """What is run. Nobody else may step it."""
        ...

    @property
    def free(self) -> bool:
        """Whether it can be given a job: what came of the last one has been taken."""
        ...

    def submit(self, job: Job) -> None:
        """Begin an inference. Only when free."""
        ...

    def take(self) -> Made | None:
        """What has been made since the last call; None where there is nothing yet.

        Raises:
            InferenceFailed: the model raised, or nothing will ever come.
        """
        ...

    def take_scores(self) -> Scored | None:
        """What has been scored since the last call; None where there is nothing yet. They come after the chunk.

        Raises:
            InferenceFailed: the monitor's graph raised.
        """
        ...

    def close(self) -> bool:
        """Make no more. Returns whether everything has ended; what has not ends with the process."""
        ...


class InLoop:
    """Infers while the loop waits: for evaluation, and for policies that take little of a control period."""

    def __init__(self, model: ChunkModel):
        self.model = model
        self._made: Made | Exception | None = None
        self._scored: Scored | Exception | None = None

    @property
    def free(self) -> bool:
        """Whether the last chunk has been taken."""
        return self._made is None

    def submit(self, job: Job) -> None:
        """Make the chunk, now."""
        self._made = _made(self.model, job)
        self._scored = _scored(self.model, job)

    def take(self) -> Made | None:
        """The chunk, once. Raises InferenceFailed where the model raised."""
        made, self._made = self._made, None
        return None if made is None else _handed_on(made)

    def take_scores(self) -> Scored | None:
        """The scores, once. Raises InferenceFailed where the monitor's graph raised."""
        scored, self._scored = self._scored, None
        return None if scored is None else _handed_on(scored)

    def close(self) -> bool:
        """Nothing runs on: True."""
        return True


class WorkerThread:
    """Infers in a thread of its own. ONNX Runtime computes without the interpreter's lock, so the loop ticks on."""

    def __init__(self, model: ChunkModel):
        self.model = model
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._results: SimpleQueue[Made | Exception] = SimpleQueue()
        self._scores: SimpleQueue[Scored | Exception] = SimpleQueue()
        self._free = True
        # A daemon: one that hangs does not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    @property
    def free(self) -> bool:
        """Whether the last chunk has been taken."""
        return self._free

    def submit(self, job: Job) -> None:
        """Hand the job over."""
        self._free = False
        self._jobs.put(job)

    def take(self) -> Made | None:
        """The chunk, once, if it is there. Raises InferenceFailed where the model raised, or the thread has ended."""
        alive = self._thread.is_alive()  # asked first: a thread puts its last result before it ends
        try:
            made = self._results.get_nowait()
        except Empty:
            if not self._free and not alive:
                raise InferenceFailed("the thread of the inference has ended; start the node again") from None
            return None
        self._free = True
        return _handed_on(made)

    def take_scores(self) -> Scored | None:
        """The scores, once, if they are there. Raises InferenceFailed where the monitor's graph raised."""
        try:
            return _handed_on(self._scores.get_nowait())
        except Empty:
            return None

    def close(self) -> bool:
        """End the thread after the inference that is under way. Returns False for one that takes longer than 2 s."""
        self._jobs.put(None)
        self._thread.join(_END_S)
        return not self._thread.is_alive()

    def _work(self) -> None:
        _step_back()
        while (job := self._jobs.get()) is not None:
            self._results.put(_made(self.model, job))
            if (scored := _scored(self.model, job)) is not None:
                self._scores.put(scored)


def _made(model: ChunkModel, job: Job) -> Made | Exception:
    try:
        return Made(request=job.request, chunks=model.step(job.windows, begin=job.begin))
    except Exception as error:  # noqa: BLE001 (whatever it is, `_handed_on` raises it where it is taken)
        return error


def _scored(model: ChunkModel, job: Job) -> Scored | Exception | None:
    """None for a policy that is not watched."""
    if model.scores is None:
        return None
    try:
        return Scored(request=job.request, scores=np.array(model.scores(job.windows)))
    except Exception as error:  # noqa: BLE001 (as above)
        return error


def _handed_on(result: Result | Exception) -> Result:
    if isinstance(result, Exception):
        raise InferenceFailed(f"the inference failed: {type(result).__name__}: {result}") from result
    return result


def _step_back() -> None:
    """A real-time loop's thread hands its priority on to those that it starts. One lower, an inference never keeps the
    loop from a core, and no ordinary process keeps the inference from giving the interpreter's lock back."""
    if os.sched_getscheduler(0) == os.SCHED_FIFO:
        priority = os.sched_getparam(0).sched_priority - 1
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(max(priority, os.sched_get_priority_min(os.SCHED_FIFO))))
