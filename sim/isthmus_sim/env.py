"""Vectorised stepping of a task on an engine: torch in, torch out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from isthmus_sim.commands import CommandLine
from isthmus_sim.engine import Commands, Engine, Params, State, UnsupportedError
from isthmus_sim.resets import snapshots
from isthmus_sim.resets.levels.sampler import LevelSampler
from isthmus_sim.resets.starts import Snapshot, Starts
from isthmus_sim.sensors import AGE_FRAME, Sensors, Signals
from isthmus_sim.state_dicts import joined, part
from isthmus_sim.task import Goal, Memory, Task, Transition

Observations = dict[str, Tensor]
"""Observation groups: name -> (num_envs, *shape), float32 or uint8."""


@dataclass(kw_only=True)
class Divergence:
    """k worlds that diverged in one control step, and what it takes to do that step again.

    worlds (k,); episode_step (k,): steps of the episode before it; engine: k rows of every tensor of the engine's
    state before it; commands: (k, size) each, what acted.
    """

    worlds: Tensor
    episode_step: Tensor
    engine: dict[str, Tensor]
    commands: Commands


@dataclass(kw_only=True)
class Step:
    """What a control step led to, for every world.

    observations: at the new instant; where an episode has ended, already the first of the next one.
    commands: what was sent, within range and rate, by name, (num_envs, size) each.
    reward, terminated (failed or succeeded; no future), succeeded (of these, those that have done what there was to
    do), truncated (out of time; there would have been a future): (num_envs,).
    metrics: what the task judges by, of the state that the step led to, before any reset; empty unless the Env
    measures.
    ended (k,): worlds whose episode ended; final: their true last observations, k rows. A time-out bootstraps with
    these. episode_terms: per reward term, the sum over each ended episode (k,); episode_length (k,) steps.
    diverged: how many worlds diverged and were reset; divergence: they themselves, None where none did or where the
    engine has no snapshots.
    """

    observations: Observations
    commands: Commands
    reward: Tensor
    terminated: Tensor
    succeeded: Tensor
    truncated: Tensor
    metrics: dict[str, Tensor]
    ended: Tensor
    final: Observations
    episode_terms: dict[str, Tensor]
    episode_length: Tensor
    diverged: int
    divergence: Divergence | None


FAILURE = "failure"
"""The reward's term for steps that fail, in tasks that have one."""


class Env:
    """N worlds of a task. Order within `step`: the command acts, time advances, rewards see the new state, ended
    worlds are reset, then everyone's sensors are read once.

    Args:
        task: What is done.
        engine: Where, N worlds of the task's scene.
        seed: Seed of everything random.
        random_initial_age: For training: first episodes end at random times, so that time-outs do not come all at once.
        training: Whether `task.training_events` happen too.
        episode_steps: Cuts episodes earlier than the task does.
        autoreset: Whether worlds that have ended begin anew in the same step. Otherwise they stay as they are, for
            somebody who looks at how they ended and calls `reset`.
        measure: Whether steps carry the task's metrics.
        keep_divergences: Whether worlds that diverge are kept as they were before: costs a copy of the state a step.
        starts: Where else episodes begin than where the task lets them.
        levels: What draws the levels of a task that declares `graded` parameters, by default evenly.

    Raises:
        UnsupportedError: starts in snapshots, and an engine that has none.
        ValueError: episodes without a step; from `reset`, where the task gives other names, shapes or types than it and
            its robot declare.
    """

    def __init__(
        self,
        task: Task,
        engine: Engine,
        seed: int,
        *,
        random_initial_age: bool = False,
        training: bool = False,
        episode_steps: int | None = None,
        autoreset: bool = True,
        measure: bool = False,
        keep_divergences: bool = False,
        starts: Starts | None = None,
        levels: LevelSampler | None = None,
    ) -> None:
        self.task, self.engine = task, engine
        self.num_envs, self.device = engine.num_envs, engine.device
        self.generator = torch.Generator(engine.device).manual_seed(seed)
        self.progress = 1.0
        self.episode_steps = task.episode_steps if episode_steps is None else episode_steps
        if self.episode_steps < 1:
            raise ValueError(f"the task {task.name!r}: episode_steps must be at least 1, got {self.episode_steps}")
        self.measure = measure
        self._autoreset = autoreset
        self._events = (*task.events, *(task.training_events if training else ()))
        self._keep = keep_divergences and "snapshots" in engine.capabilities
        self._random_initial_age = random_initial_age
        self.starts = Starts() if starts is None else starts
        self.levels = LevelSampler() if levels is None else levels
        if self.starts.needs_snapshots and "snapshots" not in engine.capabilities:
            raise UnsupportedError(
                f"the engine {type(engine).__name__} has no snapshots, in which episodes shall begin; its capabilities "
                f"are: {', '.join(sorted(engine.capabilities)) or 'none'}"
            )
        n, device, period_s = self.num_envs, engine.device, task.robot.control_period_s
        self.sensors = Sensors(task.robot.signals, task.sensors, task.noise, n, period_s, self.generator)
        self.command_line = CommandLine(task.robot.commands, task.command_delay_steps, n, period_s, self.generator)
        self.memory: Memory = {m.name: torch.full((n, *m.shape), m.initial, device=device) for m in task.memory}
        self.episode_step = torch.zeros(n, dtype=torch.long, device=device)
        self.last_step = torch.full((n,), self.episode_steps, dtype=torch.long, device=device)
        self.reward_terms = (*task.rewards, *((FAILURE,) if task.failure_reward else ()))
        self.term_sums = torch.zeros(len(self.reward_terms), n, device=device)
        self.level = torch.zeros(n, dtype=torch.long, device=device)
        self.graded = torch.zeros(n, len(task.graded), device=device)
        self.first_step = torch.zeros_like(self.episode_step)
        self.elsewhere = torch.zeros(n, dtype=torch.bool, device=device)
        sensed = {spec.name: (spec.shape, spec.dtype) for spec in task.robot.signals if spec.frame != AGE_FRAME}
        commanded = {spec.name: ((spec.size,), "float32") for spec in task.robot.commands}
        observed = {name: (group.shape, group.dtype) for name, group in task.groups.items()}
        self._declared = {"sense": sensed, "act": commanded, "observe and privileged": observed}
        self.state: State = {}
        self.signals: Signals = {}
        self.goal: Goal = {}

    @property
    def command(self) -> Commands:
        """What was sent last, by name, (num_envs, size) each."""
        return self.command_line.sent

    def reset(self) -> Observations:
        """Start every world anew."""
        ids = torch.arange(self.num_envs, device=self.device)
        self.signals, self.goal, observations = self._restart(ids)
        if self._random_initial_age:
            age = torch.randint(self.episode_steps, (self.num_envs,), generator=self.generator, device=self.device)
            self.last_step = self.first_step + self.episode_steps - age
        return observations

    def step(self, action: Tensor) -> Step:
        """Apply actions (num_envs, action_size); they are clipped to [-1, 1]."""
        action = action.clamp(-1.0, 1.0)
        commands = self.task.act(action, self.signals, self.memory)
        memory = self.task.remember(self.memory, self.signals, action)
        if memory.keys() != self.memory.keys():
            raise ValueError(
                f"the task {self.task.name!r}: remember gives {', '.join(memory) or 'nothing'}; declared is "
                f"{', '.join(self.memory) or 'nothing'}"
            )
        self.memory = memory
        return self.step_commands(commands)

    def step_commands(self, commands: Commands) -> Step:
        """Apply robot commands (num_envs, size) in their units, from whoever keeps a memory of its own: an exported
        graph."""
        task, engine, previous = self.task, self.engine, self.command_line.sent
        for event in self._events:
            event.step(engine, self.episode_step, self.generator)
        sent, acting = self.command_line.send(commands)
        before = engine.snapshot() if self._keep else {}
        state = self.state = engine.advance(acting)
        self.episode_step += 1
        goal = task.track(task.goal(self.episode_step, self.goal, self.generator), state)
        self.goal = goal

        diverged = engine.failed()
        failure = task.terminated(state, goal) | diverged
        succeeded = self._succeeded(state, goal, failure)
        terminated = failure | succeeded
        truncated = (self.episode_step >= self.last_step) & ~terminated
        reward = self._reward(
            Transition(state=state, goal=goal, commands=sent, previous=previous, progress=self.progress), failure
        )
        # Copies: an engine may write the starts of new episodes into what it gave.
        metrics = {name: value.clone() for name, value in task.metrics(state, goal).items()} if self.measure else {}
        self.signals = self.sensors.measure(task.sense(state, goal))
        observations = self._observations(self.signals, self.memory, task.privileged(state, goal, engine, None))
        ended = (terminated | truncated).nonzero().squeeze(-1)
        count = int(diverged.sum())
        step = Step(
            observations=observations,
            commands=sent,
            reward=reward,
            terminated=terminated,
            succeeded=succeeded,
            truncated=truncated,
            metrics=metrics,
            ended=ended,
            final={group: value[ended] for group, value in observations.items()},
            episode_terms=dict(zip(self.reward_terms, self.term_sums[:, ended], strict=True)),
            episode_length=(self.episode_step - self.first_step)[ended],
            diverged=count,
            divergence=self._divergence(diverged, before, acting) if count and self._keep else None,
        )
        if self.starts.needs_snapshots:  # of which the usual step knows nothing: it takes as long as it did
            self.starts.watch(self, ~(terminated | truncated))
        if len(ended) and self._autoreset:
            self._regrade(ended, failure, succeeded, state, goal)
            self._replace(step, ended)
        return step

    def _succeeded(self, state: State, goal: Goal, failure: Tensor) -> Tensor:
        done = self.task.succeeded(state, goal)
        if (done is not None) != self.task.has_goal:
            raise ValueError(
                f"the task {self.task.name!r}: has_goal is {self.task.has_goal}, but succeeded() gives "
                f"{'None' if done is None else 'who has succeeded'}; without a goal it gives None, with one a tensor"
            )
        return torch.zeros_like(failure) if done is None else done & ~failure

    def _reward(self, step: Transition, failure: Tensor) -> Tensor:
        """(num_envs,); adds to the sums of the episode. A step that fails earns `failure_reward` and nothing else."""
        terms = torch.where(failure, 0.0, torch.stack(list(self.task.reward(step).values())))
        if self.task.failure_reward:
            terms = torch.cat((terms, self.task.failure_reward * failure.to(terms).unsqueeze(0)))
        self.term_sums += terms
        return terms.sum(0)

    def _divergence(self, diverged: Tensor, before: dict[str, Tensor], acting: Commands) -> Divergence:
        worlds = diverged.nonzero().squeeze(-1)
        params = {f"params.{name}": value for name, value in self.engine.params.items()}
        return Divergence(
            worlds=worlds,
            episode_step=self.episode_step[worlds] - 1,
            engine={name: value[worlds] for name, value in (before | params).items()},
            commands={name: value[worlds] for name, value in acting.items()},
        )

    def _regrade(self, ended: Tensor, failure: Tensor, succeeded: Tensor, state: State, goal: Goal) -> None:
        """Levels of what comes next, by how episodes went that began where the task lets them."""
        if self.task.levels == 1 and not self.task.graded:
            return
        ended = ended[~self.elsewhere[ended]]
        if len(ended) == 0:
            return
        if self.task.graded:
            failed = ~succeeded if self.task.has_goal else failure
            self.levels.tell(self.graded[ended], self.term_sums[:, ended].sum(0), failed[ended], self.generator)
        if self.task.levels > 1:
            then = {name: value[ended] for name, value in state.items()}
            asked = {name: value[ended] for name, value in goal.items()}
            self.level[ended] = self.task.next_level(self.level[ended], failure[ended], then, asked, ended)

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
        task, engine, generator = self.task, self.engine, self.generator
        resets = task.reset(engine, ids, self.level[ids], generator, self._grade(ids))
        resets = replace(resets, state=self.starts.states(resets.state, generator))
        self.state = engine.advance(None, resets)  # with what follows from the start, such as where the feet are
        self.episode_step[ids] = 0
        self.last_step[ids] = self.episode_steps
        self.term_sums[:, ids] = 0
        for spec in task.memory:
            self.memory[spec.name][ids] = spec.initial
        there, snapshot = self._return(ids) if self.starts.needs_snapshots else (ids[:0], {})
        state = {name: value[ids] for name, value in self.state.items()}
        goal = task.track(task.goal(self.episode_step[ids], None, generator), state)
        goal = _with(goal, there, part(snapshot, "goal"))
        signals = self.sensors.reset(ids, self._as_declared("sense", task.sense(state, goal)))
        memory = {name: value[ids] for name, value in self.memory.items()}
        standing = task.act(torch.zeros(len(ids), task.action_size, device=ids.device), signals, memory)
        standing = _with(self._as_declared("act", standing), there, part(snapshot, "command"))
        self.command_line.reset(ids, standing)
        observations = self._observations(signals, memory, task.privileged(state, goal, engine, ids))
        return signals, goal, self._as_declared("observe and privileged", observations)

    def _grade(self, ids: Tensor) -> Params:
        """Levels of worlds `ids`, drawn anew, as the task's parameters."""
        if not self.task.graded:
            return {}
        self.graded[ids] = self.levels.draw(len(ids), len(self.task.graded), self.generator)
        shares = self.graded[ids].split(1, dim=-1)
        bounds = self.task.graded.items()
        return {name: low + (high - low) * share for (name, (low, high)), share in zip(bounds, shares, strict=True)}

    def _return(self, ids: Tensor) -> tuple[Tensor, Snapshot]:
        """Put some of the worlds `ids` into snapshots: which of them, and these."""
        self.elsewhere[ids], self.first_step[ids] = False, 0
        chosen = self.starts.snapshots(len(ids), self.generator)
        if chosen is None:
            return ids[:0], {}
        there, snapshot = chosen[0], {name: value.to(self.device) for name, value in chosen[1].items()}
        worlds = ids[there]
        snapshots.restore(self.engine, worlds, snapshot)
        self.state = self.engine.advance(None)
        self.episode_step[worlds] = self.first_step[worlds] = snapshot["episode_step"]
        self.last_step[worlds] = snapshot["episode_step"] + self.episode_steps
        self.elsewhere[worlds] = True
        for name, value in part(snapshot, "memory").items():
            self.memory[name][worlds] = value
        return there, snapshot

    def _as_declared(self, by: str, given: dict[str, Tensor]) -> dict[str, Tensor]:
        """`given`, which the task's function `by` gave."""
        found = {name: (tuple(value.shape[1:]), str(value.dtype)[6:]) for name, value in given.items()}
        if found != self._declared[by]:
            raise ValueError(
                f"the task {self.task.name!r}: {by} gives {_listed(found)}; declared is {_listed(self._declared[by])}"
            )
        return given

    def _observations(self, signals: Signals, memory: Memory, privileged: dict[str, Tensor]) -> Observations:
        return {**self.task.observe(signals, memory), **privileged}

    def close(self) -> None:
        """Release the engine."""
        self.engine.close()

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, random state included. Needs an engine with snapshots."""
        return {
            "generator": self.generator.get_state(),
            "episode_step": self.episode_step,
            "last_step": self.last_step,
            "term_sums": self.term_sums,
            "level": self.level,
            "graded": self.graded,
            "first_step": self.first_step,
            "elsewhere": self.elsewhere,
            **joined(
                starts=self.starts.state_dict(),
                levels=self.levels.state_dict(),
                engine=self.engine.state_dict(),
                sensors=self.sensors.state_dict(),
                commands=self.command_line.state_dict(),
                memory=self.memory,
                signals=self.signals,
                goal=self.goal,
            ),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state_dict` gave."""
        self.generator.set_state(state["generator"])
        state = {name: value.to(self.device) for name, value in state.items()}  # a checkpoint is read on the CPU
        for name in ("episode_step", "last_step", "term_sums", "level"):
            setattr(self, name, state[name].clone())
        for name in {"graded", "first_step", "elsewhere"} & state.keys():  # which older checkpoints lack
            setattr(self, name, state[name].clone())
        self.starts.load_state_dict(part(state, "starts"))
        self.levels.load_state_dict(part(state, "levels"))
        self.engine.load_state_dict(part(state, "engine"))
        self.state = self.engine.advance(None)
        self.sensors.load_state_dict(part(state, "sensors"))
        self.command_line.load_state_dict(part(state, "commands"))
        self.memory, self.signals, self.goal = (
            {name: value.clone() for name, value in part(state, prefix).items()}
            for prefix in ("memory", "signals", "goal")
        )


def _with(rows: dict[str, Tensor], there: Tensor, others: dict[str, Tensor]) -> dict[str, Tensor]:
    """`rows` with those of `others` in the places `there` (k,)."""
    return {name: rows[name].index_copy(0, there, value) for name, value in others.items()} if others else rows


def _listed(declared: dict[str, tuple[tuple[int, ...], str]]) -> str:
    return ", ".join(f"{name} {dtype}{list(shape)}" for name, (shape, dtype) in declared.items()) or "nothing"
