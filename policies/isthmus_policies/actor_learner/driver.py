"""The policy that a learner improves, driving a robot: from readings to commands, by the task's own functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus_datasets.recording.operator import Controller, Decision, DeviceError, Event
from isthmus_datasets.recording.robot import Observation, RobotError
from isthmus_policies.actor_learner.board import PolicyBoard
from isthmus_policies.actor_learner.learner import acting
from isthmus_policies.actor_learner.learning_run import LearningRun
from isthmus_policies.demonstrate.features import joined, split
from isthmus_policies.networks.policy import Tensors
from isthmus_policies.networks.squashed import squash
from isthmus_sim.threads import one_torch_thread


class ActorDriver:
    """Acts as the learner's newest policy draws it, and keeps the task's memory of what was really done.

    Args:
        run: What is learned.
        signals: Finds an observation's signals by name, unbatched.
        patience_s: It gives up when the learner was silent for so long.
        starts: Whether it starts episodes, and ends them where the robot reports success; otherwise a person does.
        seed: Of what it draws.

    Raises:
        ExchangeError: the learner has not begun, or is another one.
    """

    def __init__(
        self,
        run: LearningRun,
        signals: Callable[[Observation], Mapping[str, NDArray[Any]]],
        *,
        patience_s: float,
        starts: bool = True,
        seed: int = 0,
    ) -> None:
        self.name = "learning policy"
        self.observed: Tensors = {}
        """What it was shown last, by group, (1, *shape)."""
        self._task, self._policy, self._signals, self._patience_s = run.task, run.policy, signals, patience_s
        self._starts, self._generator = starts, torch.Generator().manual_seed(seed)
        self._board = PolicyBoard(run.exchange, acting(run.policy), write=False)
        self._version = 0
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """An episode begins: nothing is remembered."""
        self._memory = {spec.name: torch.full((1, *spec.shape), spec.initial) for spec in self._task.memory}
        self._step = 0

    @torch.no_grad()
    def look(self, observation: Observation) -> None:
        """See what the robot reads. Raises DeviceError where the learner was silent for too long, RobotError for a
        reading that is no number: nobody shall learn from it."""
        self._renew()
        with one_torch_thread():
            self._read = {name: torch.from_numpy(np.array(v))[None] for name, v in self._signals(observation).items()}
            self.observed = self._task.observe(self._read, self._memory)
            if wrong := [name for name, value in self.observed.items() if not bool(value.isfinite().all())]:
                raise RobotError(f"{self._task.robot.name}: what is observed is no number, in {', '.join(wrong)}")
            output = self._policy.output(self.observed)
            noise = torch.empty(1, self._task.action_size).normal_(generator=self._generator)
            self.proposed = squash(output, noise)[0]

    def _renew(self) -> None:
        """Take the newest policy, if there is one."""
        if (silent := self._board.silence_s) > self._patience_s:
            raise DeviceError("learner", f"silent for {silent:.0f} s; its last good policy is kept. Start it again")
        if self._board.version == self._version:
            return
        version, tensors = self._board.version, self._board.read()
        if tensors is not None:
            self._policy.load_state_dict(tensors, strict=False)
            self._version = version

    def decide(self, observation: Observation) -> Decision:
        """Its commands upon what it was shown by `look`."""
        commands = self._task.act(self.proposed, self._read, self._memory)
        action = joined(self._task.robot.commands, {name: value[0].numpy() for name, value in commands.items()})
        return Decision(action=action, control=Controller.POLICY, event=self._event(observation))

    def _event(self, observation: Observation) -> Event:
        if not self._starts:
            return Event.NONE
        return Event.START if self._step == 0 else Event.SUCCESS if observation.success else Event.NONE

    def action_of(self, sent: NDArray[Any]) -> Tensor:
        """The action (1, action_size) within [-1, 1] whose commands are nearest to these (k,)."""
        commands = {name: torch.from_numpy(value)[None] for name, value in split(self._commands, sent).items()}
        return self._task.action_of(commands, self._read, self._memory).clamp(-1.0, 1.0)

    @property
    def _commands(self) -> Any:
        return self._task.robot.commands

    def done(self, action: Tensor) -> None:
        """This action (1, action_size) is done, by whomever."""
        self._memory = self._task.remember(self._memory, self._read, action)
        self._step += 1

    def resume(self) -> None:
        """It plans nothing ahead."""

    def close(self) -> None:
        """Let go of the learner's policy."""
        self._board.close()
