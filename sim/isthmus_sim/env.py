"""Vectorised stepping of a task on an engine: torch in, torch out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_sim.engine import Engine
from isthmus_sim.signals import DelayLine, Sensors, Signals
from isthmus_sim.task import Goal, Memory, Task, Transition

Observations = dict[str, Tensor]
"""Observation groups: name -> (num_envs, size) float32."""


@dataclass(kw_only=True)
class Divergence:
    """k worlds that diverged in one control step, and what it takes to do that step again.

    worlds (k,); episode_step (k,): steps of the episode before it; engine: k rows of every tensor of the engine's
    state before it; command (k, size): what acted.
    """

    worlds: Tensor
    episode_step: Tensor
    engine: dict[str, Tensor]
    command: Tensor


@dataclass(kw_only=True)
class Step:
    """What a control step led to, for every world.

    observations: at the new instant; where an episode has ended, already the first of the next one.
    reward, terminated (failed or succeeded; no future), succeeded (of these, those that have done what there was to
    do), truncated (out of time; there would have been a future): (num_envs,).
    ended (k,): worlds whose episode ended; final: their true last observations, k rows. A time-out bootstraps with
    these. episode_terms: per reward term, the sum over each ended episode (k,); episode_length (k,) steps.
    divergence: the worlds that diverged and were reset, None where none did.
    """

    observations: Observations
    reward: Tensor
    terminated: Tensor
    succeeded: Tensor
    truncated: Tensor
    ended: Tensor
    final: Observations
    episode_terms: dict[str, Tensor]
    episode_length: Tensor
    divergence: Divergence | None

    @property
    def failed(self) -> int:
        """How many worlds diverged."""
        return len(self.divergence.worlds) if self.divergence else 0


class Env:
    """N worlds of a task. Order within `step`: the command acts, time advances, rewards see the new state, ended
    worlds are reset, then everyone's sensors are read once.

    For training, spread starts episodes at random ages, so that time-outs do not come all at once, and episode_steps
    cuts them earlier than the task does.
    """

    def __init__(
        self, task: Task, engine: Engine, seed: int, *, spread: bool = False, episode_steps: int | None = None
    ) -> None:
        self.task = task
        self.engine = engine
        self.num_envs = engine.num_envs
        self.generator = torch.Generator(engine.device).manual_seed(seed)
        self.progress = 1.0
        self.episode_steps = episode_steps or task.episode_steps
        self._spread = spread
        n, device = self.num_envs, engine.device
        self.sensors = Sensors(task.robot.signals, task.sensors, n, self.generator)
        self.command_line = DelayLine(n, task.robot.commands[0].size, task.command_delay[1], device)
        self.command = torch.zeros(n, task.robot.commands[0].size, device=device)
        self.memory: Memory = {m.name: torch.full((n, *m.shape), m.initial, device=device) for m in task.memory}
        self.episode_step = torch.zeros(n, dtype=torch.long, device=device)
        self.term_sums = torch.zeros(len(task.reward_terms), n, device=device)
        self.level = torch.zeros(n, dtype=torch.long, device=device)
        self._none = torch.zeros(n, dtype=torch.bool, device=device)
        self.signals: Signals = {}
        self.goal: Goal = {}

    def reset(self) -> Observations:
        """Start every world anew."""
        ids = torch.arange(self.num_envs, device=self.engine.device)
        self.signals, self.goal, observations = self._restart(ids)
        if self._spread:
            self.episode_step = torch.randint(
                self.episode_steps, (self.num_envs,), generator=self.generator, device=self.engine.device
            )
        return observations

    def step(self, action: Tensor) -> Step:
        """Apply actions (num_envs, action_size); they are clipped to [-1, 1]."""
        action = action.clamp(-1.0, 1.0)
        commands = self.task.act(action, self.signals, self.memory)
        self.memory = self.task.remember(self.memory, self.signals, action)
        return self.step_command(commands[self.task.robot.commands[0].name])

    def step_command(self, command: Tensor) -> Step:
        """Apply robot commands (num_envs, k) in their unit, from whoever keeps a memory of its own: an exported
        graph."""
        task, engine = self.task, self.engine
        task.disturb(engine, self.episode_step, self.generator)
        acting = self.command_line.push(command)
        before = {name: value.clone() for name, value in engine.state_dict().items()}
        engine.step(acting)
        self.episode_step += 1
        state, goal = engine.read(), task.goal(self.episode_step, self.goal, self.generator)
        self.goal = goal

        failed = engine.failed()
        failure = task.terminated(state, goal) | failed
        succeeded, terminated = self._successes(task.succeeded(state, goal), failure)
        truncated = (self.episode_step >= self.episode_steps) & ~terminated
        terms = task.reward(
            Transition(
                state=state,
                goal=goal,
                command=command,
                previous=self.command,
                progress=self.progress,
            )
        )
        self.command = command.clone()
        rewards = torch.where(failure, 0.0, torch.stack(list(terms.values())))
        self.term_sums += rewards

        self.signals = self.sensors.measure(task.sense(state, goal))
        observations = self._observations(self.signals, self.memory, task.privileged(state, goal, engine, None))
        ended = (terminated | truncated).nonzero().squeeze(-1)
        step = Step(
            observations=observations,
            reward=rewards.sum(0),
            terminated=terminated,
            succeeded=succeeded,
            truncated=truncated,
            ended=ended,
            final={group: value[ended] for group, value in observations.items()},
            episode_terms=dict(zip(terms, self.term_sums[:, ended], strict=True)),
            episode_length=self.episode_step[ended],
            divergence=self._divergence(failed, before, acting) if failed.any() else None,
        )
        if len(ended):
            if task.levels > 1:
                rows = {name: value[ended] for name, value in goal.items()}
                self.level[ended] = task.regrade(self.level[ended], state[ended], rows, engine, ended)
            self._replace(step, ended)
        return step

    def _successes(self, done: Tensor | None, failure: Tensor) -> tuple[Tensor, Tensor]:
        """Which worlds (num_envs,) have succeeded, and which have ended in either way."""
        if done is None:
            return self._none, failure
        succeeded = done & ~failure
        return succeeded, succeeded | failure

    def _divergence(self, failed: Tensor, before: dict[str, Tensor], acting: Tensor) -> Divergence:
        worlds = failed.nonzero().squeeze(-1)
        return Divergence(
            worlds=worlds,
            episode_step=self.episode_step[worlds] - 1,
            engine={name: value[worlds] for name, value in before.items()},
            command=acting[worlds],
        )

    def _replace(self, step: Step, ended: Tensor) -> None:
        """Start the ended worlds anew and put their first readings in place."""
        signals, goal, observations = self._restart(ended)
        for group, rows in observations.items():
            step.observations[group][ended] = rows
        for name, rows in signals.items():
            self.signals[name] = self.signals[name].index_copy(0, ended, rows)
        self.goal = {name: self.goal[name].index_copy(0, ended, rows) for name, rows in goal.items()}

    def _restart(self, ids: Tensor) -> tuple[Signals, Goal, Observations]:
        """First signals, goal and observations of worlds `ids`, started anew."""
        task, engine = self.task, self.engine
        engine.reset(ids, task.reset(engine, ids, self.level[ids], self.generator))
        state = engine.read()[ids]  # with what follows from the start state, such as where the feet are
        self.episode_step[ids] = 0
        self.term_sums[:, ids] = 0
        for spec in task.memory:
            self.memory[spec.name][ids] = spec.initial
        goal = task.goal(self.episode_step[ids], None, self.generator)
        signals = self.sensors.reset(ids, task.sense(state, goal))
        memory = {name: value[ids] for name, value in self.memory.items()}
        self._restart_commands(ids, signals, memory)
        return signals, goal, self._observations(signals, memory, task.privileged(state, goal, engine, ids))

    def _restart_commands(self, ids: Tensor, signals: Signals, memory: Memory) -> None:
        low, high = self.task.command_delay
        standing = self.task.act(torch.zeros(len(ids), self.task.action_size, device=ids.device), signals, memory)
        delay = torch.randint(low, high + 1, (len(ids),), generator=self.generator, device=ids.device)
        self.command[ids] = standing[self.task.robot.commands[0].name]
        self.command_line.reset(ids, self.command[ids], delay)

    def _observations(self, signals: Signals, memory: Memory, privileged: dict[str, Tensor]) -> Observations:
        return {**self.task.observe(signals, memory), **privileged}

    def close(self) -> None:
        """Release the engine."""
        self.engine.close()

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, random state included."""
        return {
            "generator": self.generator.get_state(),
            "episode_step": self.episode_step,
            "term_sums": self.term_sums,
            "command": self.command,
            "level": self.level,
            **{f"engine.{k}": v for k, v in self.engine.state_dict().items()},
            **{f"sensors.{k}": v for k, v in self.sensors.state_dict().items()},
            **{f"commands.{k}": v for k, v in self.command_line.state_dict().items()},
            **{f"memory.{k}": v for k, v in self.memory.items()},
            **{f"signals.{k}": v for k, v in self.signals.items()},
            **{f"goal.{k}": v for k, v in self.goal.items()},
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

        self.generator.set_state(state["generator"])
        state = {name: value.to(self.engine.device) for name, value in state.items()}  # a checkpoint is read on the CPU
        self.episode_step = state["episode_step"].clone()
        self.term_sums = state["term_sums"].clone()
        self.command = state["command"].clone()
        self.level = state["level"].clone()
        self.engine.load_state_dict(part("engine."))
        self.sensors.load_state_dict(part("sensors."))
        self.command_line.load_state_dict(part("commands."))
        self.memory, self.signals, self.goal = (
            {name: value.clone() for name, value in part(f"{prefix}.").items()}
            for prefix in ("memory", "signals", "goal")
        )
