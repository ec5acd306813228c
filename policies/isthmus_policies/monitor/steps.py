"""The scores of a policy that is run step by step: how new to it is what it sees, and how far what it does is from what
usually follows.

There are no chunks that could differ. What stands in their place is asked of time: a small network has learned, on
successful episodes, which commands follow on what was seen and done some control periods before. It needs neither a
value nor a model of the robot; where the body, the surroundings or a sensor are others than there, other commands
follow. Agia et al. 2024 ("Unpacking Failure Modes of Generative Policies", arXiv 2410.04640) compare what successive
chunks say of the same moment; the error of a forward model as a score is that of Pathak et al. 2017 ("Curiosity-driven
Exploration by Self-supervised Prediction"), here of commands, which are what matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from isthmus_deploy.contracts.monitor_data import Monitor
from isthmus_policies.monitor.calibration import MonitorConfig, monitor_made
from isthmus_policies.monitor.novelty import Novelty
from isthmus_policies.networks.mlp import mlp
from isthmus_policies.networks.policy import Policy, Tensors
from isthmus_sim.description import RobotDescription

_WIDTH, _BATCH, _RATE = 128, 256, 1e-3
_RESTING = 0.02  # of a command's range: one that hardly ever changes counts as if it changed by that


@dataclass(frozen=True, kw_only=True)
class StepMonitorConfig(MonitorConfig):
    """How a monitor of a policy without chunks is made."""

    window: int = 10
    """Computations over which a score is averaged."""
    every: int = 5
    """Control periods from one computation to the next: so far ahead is foreseen what is done."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.every < 1:
            raise ValueError(f"scores are computed every 1 or more control periods, not {self.every}")


@dataclass(kw_only=True)
class WatchedSteps:
    """One episode.

    embeddings: What the policy made of what it saw, (features,) in each control period. commands: What it then gave,
    (numbers,) as shares of their range.
    """

    embeddings: list[Tensor] = field(default_factory=list)
    commands: list[Tensor] = field(default_factory=list)
    succeeded: bool = False


class CommandShares(nn.Module):
    """Commands by name to one row of shares of their range.

    Args:
        robot: Whose.
    """

    least: Tensor
    span: Tensor

    def __init__(self, robot: RobotDescription) -> None:
        super().__init__()
        self._names = [spec.name for spec in robot.commands]
        least, most = (
            torch.tensor([number for spec in robot.commands for number in getattr(spec, end)], dtype=torch.float32)
            for end in ("minimum", "maximum")
        )
        self.size = len(least)
        """Numbers of a row."""
        self.register_buffer("least", least)
        self.register_buffer("span", most - least)

    def forward(self, commands: Tensors) -> Tensor:
        """(n, size)."""
        return (torch.cat([commands[name].flatten(1) for name in self._names], dim=-1) - self.least) / self.span


class Foresight(nn.Module):
    """What is done some control periods after something was seen and done.

    Args:
        features: Numbers of an embedding.
        commands: Numbers of a row of commands.
        seed: Draws the network.
    """

    mean: Tensor
    deviation: Tensor
    spread: Tensor

    def __init__(self, features: int, commands: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.change = mlp((features + commands, _WIDTH, _WIDTH, commands), 0.01, "elu")
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.register_buffer("spread", torch.ones(commands))

    @classmethod
    def fit(cls, known: Sequence[WatchedSteps], novelty: Novelty, every: int, seed: int, steps: int) -> Foresight:
        """Fit to what followed in known episodes, in so many steps; on one thread the same for the same seed. Raises
        ValueError where no episode lasts longer than `every` control periods."""
        long = [episode for episode in known if len(episode.commands) > every]
        if not long:
            raise ValueError(f"no successful episode lasts longer than {every} control periods: foresee less far")
        seen = torch.cat([torch.stack(episode.embeddings[:-every]) for episode in long])
        done = torch.cat([torch.stack(episode.commands[:-every]) for episode in long])
        next_done = torch.cat([torch.stack(episode.commands[every:]) for episode in long])
        foresight = cls(seen.shape[1], done.shape[1], seed)
        foresight.mean.copy_(novelty.mean)
        foresight.deviation.copy_(novelty.deviation)
        foresight.spread.copy_((next_done - done).std(dim=0).clamp(min=_RESTING))
        foresight._learn(seen, done, next_done, steps, torch.Generator().manual_seed(seed))
        return foresight.eval().requires_grad_(False)

    def _learn(self, seen: Tensor, done: Tensor, next_done: Tensor, steps: int, generator: torch.Generator) -> None:
        optimizer = torch.optim.Adam(self.parameters(), lr=_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            chosen = torch.randint(len(seen), (min(_BATCH, len(seen)),), generator=generator)
            loss = self.surprise(self(seen[chosen], done[chosen]), next_done[chosen]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

    def forward(self, embeddings: Tensor, commands: Tensor) -> Tensor:
        """(n, commands): what is foreseen, of what is seen and done."""
        scaled = (embeddings - self.mean) / self.deviation
        return commands + self.spread * self.change(torch.cat((scaled, commands), dim=-1))

    def surprise(self, foreseen: Tensor, commands: Tensor) -> Tensor:
        """(n,): the mean squared error, as a share of how much commands usually change in the time between."""
        return ((commands - foreseen) / self.spread).square().mean(dim=-1)


class StepScorer(nn.Module):
    """The scores of a policy: novelty, and how surprising is what it does.

    Args:
        policy: Whose.
        robot: Whose commands.
        novelty: Fitted to its embeddings.
        foresight: Fitted to what follows on them.
        every: How many control periods ahead that foresees.
    """

    names = ("novelty", "surprise")
    noise = None

    def __init__(
        self, policy: Policy, robot: RobotDescription, novelty: Novelty, foresight: Foresight, every: int
    ) -> None:
        super().__init__()
        self.policy, self.novelty, self.foresight, self.every = policy, novelty, foresight, every
        self.shares = CommandShares(robot)
        self.carried = self.shares.size + 1
        """What was foreseen at the last computation, and 1 where there was one."""

    def forward(self, observations: Tensors, commands: Tensors, carried: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (n, 2) and what is carried on (n, carried), of observations and commands of n robots and what was
        carried. Where nothing was foreseen, the surprise is 0."""
        embeddings, done = self.policy.embed(observations), self.shares(commands)
        foreseen, there = carried.split((self.shares.size, 1), dim=-1)
        surprise = there.squeeze(-1) * self.foresight.surprise(foreseen, done)
        following = torch.cat((self.foresight(embeddings, done), torch.ones_like(there)), dim=-1)
        return torch.stack((self.novelty(embeddings), surprise), dim=-1), following

    @torch.no_grad()
    def of(self, episode: WatchedSteps) -> Tensor:
        """(computations, 2) of an episode that was watched."""
        seen = torch.stack(episode.embeddings[:: self.every])
        done = torch.stack(episode.commands[:: self.every])
        surprise = self.foresight.surprise(self.foresight(seen[:-1], done[:-1]), done[1:])
        return torch.stack((self.novelty(seen), torch.cat((surprise.new_zeros(1), surprise))), dim=-1)


def fit_step_monitor(
    policy: Policy, robot: RobotDescription, config: StepMonitorConfig, tried: Sequence[WatchedSteps]
) -> tuple[StepScorer, Monitor]:
    """A monitor of episodes that were watched.

    Raises:
        ValueError: too few of them succeeded for the share of false alarms that is asked for, or what was seen or a
            score never changes.
    """

    def fit(known: Sequence[WatchedSteps]) -> StepScorer:
        embeddings = torch.stack([embedding for episode in known for embedding in episode.embeddings])
        novelty = Novelty.fit(embeddings, config.seed, config.learning)
        foresight = Foresight.fit(known, novelty, config.every, config.seed, config.learning)
        return StepScorer(policy, robot, novelty, foresight, config.every)

    return monitor_made(fit, config, tried)
