"""An inferer for tests: its chunks come when the test says so."""

from __future__ import annotations

import numpy as np
from chunk_models import Model

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.policy.chunk_inference import Job, Made


class ByHand:
    """An inferer whose chunks come when the test says so, and what the test says."""

    def __init__(self, contract: Contract) -> None:
        self.model = Model(contract, lambda windows, begin: {})
        self.jobs: list[Job] = []
        self._made: list[Made] = []
        self.free = True

    def submit(self, job: Job) -> None:
        """Keep the job."""
        assert self.free
        self.free = False
        self.jobs.append(job)

    def take(self) -> Made | None:
        """What was given, in that order."""
        if not self._made:
            return None
        made = self._made.pop(0)
        self.free = self.free or made.request is self.jobs[-1].request
        return made

    def take_scores(self) -> None:
        """Nothing is watched."""

    def close(self) -> bool:
        """Nothing runs: True."""
        return True

    def give(self, job: Job | None = None, /, **commands: np.ndarray) -> None:
        """Let a chunk come for this job, by default the last one: the numbers of its ticks, in hundredths."""
        job = job or self.jobs[-1]
        self._made.append(Made(request=job.request, chunks=commands or hundredths(job.request.tick)))

    def lose(self) -> None:
        """Let the chunk of the last job never come."""
        self.free = True


def hundredths(tick: int, horizon: int = 4) -> dict[str, np.ndarray]:
    """(horizon, 2): every action of both joints is a hundredth of the tick that it is for."""
    return {"joint_command": np.repeat(np.arange(tick, tick + horizon, dtype=np.float32)[:, None], 2, axis=1) / 100}
