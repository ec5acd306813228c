"""A policy that learns in simulation, by reward: as `isthmus-train` does it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from isthmus_policies.demo.making.making import Order
from isthmus_policies.demo.report.html import Fact
from isthmus_policies.demo.report.record import Demo


@dataclass(frozen=True, kw_only=True)
class RewardOptions:
    """How long it learns."""

    iterations: int | None = None
    """Iterations of the training; by default as many as the task is trained for."""


@dataclass(frozen=True, kw_only=True)
class ByReward:
    """The task's own training."""

    options: RewardOptions = field(default_factory=RewardOptions)
    leaves: tuple[str, ...] = ()

    def check(self, options: RewardOptions, out: Path) -> None:
        """Everything can be."""

    def make(self, order: Order, options: RewardOptions) -> bool:
        """Train. Raises DivergedError, OSError, ValueError."""
        # What learns is imported by who learns; reports do without.
        from isthmus_policies.training.config import default_config
        from isthmus_policies.training.train import train
        from isthmus_policies.training.trainer import Trainer

        config = replace(default_config(order.trained), seed=order.seed)
        if options.iterations is not None:
            config = replace(config, iterations=options.iterations)
        return train(Trainer(config), order.run, order.console)

    def exporting(self, options: RewardOptions) -> tuple[object, ...]:
        """The run says everything."""
        return ()

    def facts(self, demo: Demo) -> list[Fact]:
        """How long the training took."""
        if not demo.metrics:
            return [Fact(label="Training", value="not recorded", detail="the run holds no metrics.csv")]
        last = demo.metrics[-1]
        steps, seconds = last["steps"], last["seconds"]
        detail = f"{steps / 1e6:.2g} million steps, {steps / seconds / 1e3:.0f} thousand a second"
        return [Fact(label="Training", value=f"{seconds:.1f} s", detail=detail)]

    def again(self, demo: Demo) -> str:
        """The seeds say everything."""
        return ""
