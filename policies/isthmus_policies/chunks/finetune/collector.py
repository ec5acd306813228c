"""Collecting experience: an exploring policy of chunks in the worlds of an Env."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_policies.algorithms.episodes import EpisodeStatistics
from isthmus_policies.chunks.columns import RobotColumns, commands_of
from isthmus_policies.chunks.finetune.config import PPO
from isthmus_policies.chunks.finetune.critic import Critic
from isthmus_policies.chunks.finetune.experience import Experience, Table
from isthmus_policies.chunks.finetune.explorer import Explorer
from isthmus_policies.chunks.runner import history, see_
from isthmus_sim.env import Env, Step
from isthmus_sim.state_dicts import joined, part

_SEEN = "seen "  # before the names of what the explorer has seen, in a table


class Collector:
    """Runs the policy, chunk after chunk. Where an episode ends, the rest of its chunk is dropped.

    Args:
        env: Whose worlds; its task has a goal.
        explorer, critic: Who acts, and who says what a state is worth.
        config: What steps are worth.
        generator: Of everything that is drawn.

    Raises:
        ValueError: the policy does not read or give what this robot has.
    """

    def __init__(self, env: Env, explorer: Explorer, critic: Critic, config: PPO, generator: torch.Generator) -> None:
        self.env, self._explorer, self._critic, self._config = env, explorer, critic, config
        self._policy, self._generator = explorer.policy, generator
        self._columns = RobotColumns(self._policy.spec, env.task.robot)
        self._signals = [signal.name for signal in self._columns.signals]
        self._observations = env.reset()
        self._seen = history(self._rows(), self._policy.spec.observed)
        n, spec = env.num_envs, self._policy.spec
        self._chunk = torch.zeros(n, spec.horizon, spec.action_size, device=env.device)  # scaled
        self._near = torch.zeros(n, dtype=torch.bool, device=env.device)  # whether the next one begins near to it
        self._done = torch.full((n,), explorer.execute, device=env.device)
        self._potential = torch.full((n,), torch.nan, device=env.device)

    @torch.no_grad()
    def collect(self, decisions: int) -> tuple[Experience, EpisodeStatistics]:
        """Collect at least so many decisions of each world, all of them begun now."""
        statistics = EpisodeStatistics(names=self.env.reward_terms)
        steps = decisions * self._explorer.execute
        table = Table(self.env.num_envs, steps, self.env.device)
        self._done[:] = self._explorer.execute
        for _ in range(steps):
            self._decide(table)
            step = self._step()
            table.earn(self._reward(step), self._config.discount)
            self._end(table, step)
            statistics.add(step)
        return self._experience(table), statistics

    def _decide(self, table: Table) -> None:
        due = self._done == self._explorer.execute
        for near in (False, True):
            worlds = (due & (self._near == near)).nonzero().squeeze(-1)
            if len(worlds):
                self._infer(table, worlds, self._left(worlds) if near else None)
        self._near |= due & self._policy.plans_every_tick
        self._done[due] = 0

    def _infer(self, table: Table, worlds: Tensor, begin: Tensor | None) -> None:
        observed = self._columns.observations({name: rows[worlds] for name, rows in self._seen.items()})
        noise = self._policy.noise(len(worlds), self._generator)
        found = self._explorer.explore(observed, noise, begin, self._generator)
        privileged = self._critic.sees(self._observations)[worlds]
        kept = {f"{_SEEN}{name}": rows for name, rows in found.seen.items()}
        kept |= {"mean": found.mean, "drawn": found.drawn, "privileged": privileged}
        table.decide(worlds, self._critic(privileged), **kept)
        self._chunk[worlds] = found.chunk.clamp(-1.0, 1.0)

    def _left(self, worlds: Tensor) -> Tensor:
        """What is left of their chunks, the last action repeated, as `ChunkExecutor` has it."""
        done, last = self._explorer.execute, self._policy.spec.horizon - 1
        places = torch.arange(done, last + 1 + done, device=self.env.device).clamp(max=last)
        return self._chunk[worlds][:, places]

    def _step(self) -> Step:
        """The next action of every chunk."""
        worlds = torch.arange(self.env.num_envs, device=self.env.device)
        actions = self._policy.actions(self._chunk[worlds, self._done])
        commands = commands_of(self.env.task.robot, actions)
        step = self.env.step_commands(commands)
        self._done += 1
        self._done[step.ended] = self._explorer.execute
        self._near[step.ended] = False
        fresh = torch.zeros_like(self._done, dtype=torch.bool)
        fresh[step.ended] = True
        see_(self._seen, self._rows(), fresh)
        self._observations = step.observations
        return step

    def _reward(self, step: Step) -> Tensor:
        """(n,): 1 for success, and how much better the state has become by the task's own reward (a potential, Ng et
        al. 1999). What the first state of an episode was worth is not told."""
        gained = self._config.discount * step.reward - self._potential
        self._potential = step.reward.clone()
        self._potential[step.ended] = torch.nan
        return step.succeeded.float() + self._config.progress * torch.where(gained.isnan(), 0.0, gained)

    def _end(self, table: Table, step: Step) -> None:
        if len(step.ended):
            then = self._critic(self._critic.sees(step.final))
            table.end(step.ended, torch.where(step.truncated[step.ended], then, 0.0))

    def _experience(self, table: Table) -> Experience:
        now = self._critic(self._critic.sees(self._observations))
        advantage, value = table.advantages(now, self._config.lam)
        return Experience(
            seen={name.removeprefix(_SEEN): table.kept(name) for name in table.names if name.startswith(_SEEN)},
            drawn=table.kept("drawn"),
            mean=table.kept("mean"),
            privileged=table.kept("privileged"),
            advantage=advantage,
            value=value,
        )

    def _rows(self) -> dict[str, Tensor]:
        return {name: self.env.signals[name] for name in self._signals}

    def state_dict(self) -> dict[str, Tensor]:
        """What the next collection begins with; needs an engine with snapshots."""
        return {
            "potential": self._potential,
            "chunk": self._chunk,
            "near": self._near,
            **joined(observations=self._observations, seen=self._seen, env=self.env.state_dict()),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state_dict` gave."""
        self._potential, self._chunk, self._near = state["potential"], state["chunk"], state["near"]
        self._observations, self._seen = part(state, "observations"), part(state, "seen")
        self.env.load_state_dict(part(state, "env"))
