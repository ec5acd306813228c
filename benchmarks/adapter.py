"""`make bench-adapter`: a learner that is not ours, stable-baselines3's PPO, learns to fly through the gymnasium
adapter.

It sees what the adapter gives: the actor's observations, rewards, ends, and the true last observation of each episode.
It tells the adapter how far it is, and so has the reward's curriculum, up to where `isthmus-train quadrotor` takes it;
beside it the same learner without one, which has the harshest reward from its first step. Its hyperparameters are those
of `isthmus-train quadrotor` where both have them. That follows the KL with its learning rate; here the rate falls.
"""

# Only the extra `bench` has stable-baselines3.
# pyright: reportMissingImports=false

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common import BenchOptions, Row, over_seeds, parse, report

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from isthmus_policies.training.config import default_config
from isthmus_sim.tasks.hover import HoverConfig
from isthmus_sim.vector_env import TaskVectorEnv

EVALUATION_SEED = 77_000
WHOLE = HoverConfig().episode_steps  # 5 s
LEARNING_RATE = 3e-3
"""At the start. It falls with the steps that are left, to a twentieth."""


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Let stable-baselines3's PPO learn to fly."""

    seeds: tuple[int, ...] = (101, 102, 103)
    """Training seeds."""
    num_envs: int = 512
    """Worlds stepped together."""
    steps: int = 4_000_000
    """Control steps of a training, of all worlds together."""
    episodes: int = 500
    """Episodes of an evaluation, 5 s each."""


QUICK = Options(seeds=(101,), num_envs=64, steps=20_000, episodes=20)


class AdapterVecEnv(VecEnv):
    """The adapter as stable-baselines3 takes environments: its own interface, from before gymnasium had vectors."""

    def __init__(self, worlds: TaskVectorEnv) -> None:
        self.worlds = worlds
        super().__init__(worlds.num_envs, worlds.single_observation_space, worlds.single_action_space)
        self._actions = np.zeros((worlds.num_envs, worlds.task.action_size), np.float32)

    def reset(self) -> np.ndarray:
        return self.worlds.reset(seed=self._seeds[0])[0]

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observations, reward, terminated, truncated, info = self.worlds.step(self._actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for world in np.flatnonzero(terminated | truncated):
            infos[world] = {
                "terminal_observation": info["final_obs"][world],
                "TimeLimit.truncated": bool(truncated[world]),
            }
        return observations, reward.astype(np.float32), terminated | truncated, infos

    def close(self) -> None:
        self.worlds.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.worlds, attr_name)] * self._count(indices)

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self.worlds, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return [getattr(self.worlds, method_name)(*args, **kwargs)] * self._count(indices)

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self._count(indices)

    def _count(self, indices: int | Sequence[int] | None) -> int:
        return len(list(self._get_indices(indices)))


class Curriculum(BaseCallback):
    """Tells the worlds before every roll-out how far the training is, as the trainer of `isthmus-train` does."""

    def __init__(self, worlds: TaskVectorEnv, steps: int) -> None:
        super().__init__()
        self._worlds, self._steps = worlds, steps
        self._config = default_config("quadrotor")

    def _on_rollout_start(self) -> None:
        share = min(1.0, self.num_timesteps / self._steps / self._config.curriculum_share)
        self._worlds.set_progress(self._config.curriculum_end * share)

    def _on_step(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class Flight:
    """survival: share of the episodes that lasted, %; error: mean distance from the reference over their last two
    seconds, m, of those that did; seconds: of the training."""

    survival: float
    error: float
    seconds: float


def quadrotors(num_envs: int, episode_steps: int | None = None, progress: float = 1.0) -> TaskVectorEnv:
    """Worlds of the specification, by default with its whole episodes."""
    config = HoverConfig(episode_steps=episode_steps or WHOLE)
    return TaskVectorEnv("quadrotor", num_envs, config=config, groups=("actor",), progress=progress)


def learn(options: Options, seed: int, *, curriculum: bool) -> tuple[PPO, VecNormalize, float]:
    """A trained PPO, its normalised worlds, and the seconds that it took."""
    ours = default_config("quadrotor")
    worlds = quadrotors(options.num_envs, ours.episode_steps, 0.0 if curriculum else 1.0)
    env = VecNormalize(AdapterVecEnv(worlds), gamma=ours.algorithm.gamma)
    env.seed(seed)
    ppo, rows = ours.algorithm, options.num_envs * ours.algorithm.num_steps
    model = PPO(
        "MlpPolicy", env, seed=seed, device="cpu", n_steps=ppo.num_steps, batch_size=rows // ppo.minibatches,
        n_epochs=ppo.epochs, learning_rate=lambda left: LEARNING_RATE * max(left, 0.05), gamma=ppo.gamma,
        gae_lambda=ppo.lam, ent_coef=ppo.entropy_weight, max_grad_norm=ppo.max_gradient_norm,
        policy_kwargs={"net_arch": list(ours.policy.actor), "log_std_init": math.log(ours.policy.initial_std)},
    )  # fmt: skip
    begun = time.perf_counter()
    model.learn(options.steps, callback=Curriculum(worlds, options.steps) if curriculum else None)
    seconds = time.perf_counter() - begun
    worlds.close()
    return model, env, seconds


def evaluate(model: PPO, normalizer: VecNormalize, episodes: int) -> tuple[float, float]:
    """Survival and error of `Flight`, of one whole episode of each world."""
    worlds = quadrotors(episodes)
    observations, _ = worlds.reset(seed=EVALUATION_SEED)
    alive, errors = np.ones(episodes, bool), []
    for step in range(WHOLE):
        actions, _ = model.predict(normalizer.normalize_obs(observations), deterministic=True)
        observations, _, terminated, _, _ = worlds.step(actions)
        alive &= ~terminated
        if WHOLE - 200 <= step < WHOLE - 1:  # after the last one the next episode has begun
            errors.append(np.linalg.norm(observations[:, :3], axis=1))
    worlds.close()
    error = float(np.stack(errors)[:, alive].mean()) if alive.any() else float("inf")
    return 100 * float(alive.mean()), error


def fly(options: Options, seed: int, *, curriculum: bool) -> Flight:
    """Train and judge one policy."""
    model, normalizer, seconds = learn(options, seed, curriculum=curriculum)
    survival, error = evaluate(model, normalizer, options.episodes)
    name = "with" if curriculum else "without"
    print(f"seed {seed} {name} curriculum: {seconds:.0f} s, alive {survival:.1f} %, off {error:.3f} m", flush=True)
    return Flight(survival=survival, error=error, seconds=seconds)


def rows(guided: list[Flight], alone: list[Flight]) -> list[Row]:
    """What is reported of the trainings with and without the curriculum."""

    def column(flights: list[Flight], field: str) -> list[float]:
        return [getattr(flight, field) for flight in flights]

    return [
        over_seeds("survives 5 s", column(guided, "survival"), "%", must=">= 90", aim=">= 97",
                   peer="isthmus-train: bench-quadrotor"),
        over_seeds("error over the last 2 s", column(guided, "error"), "m", must="<= 0.15"),
        over_seeds("training", column(guided, "seconds"), "s"),
        over_seeds("without the curriculum: survives 5 s", column(alone, "survival"), "%"),
        over_seeds("without the curriculum: error over the last 2 s", column(alone, "error"), "m"),
    ]  # fmt: skip


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    torch.set_num_threads(default_config("quadrotor").torch_threads)
    guided, alone = (
        [fly(options, seed, curriculum=curriculum) for seed in options.seeds] for curriculum in (True, False)
    )
    return report("adapter", rows(guided, alone), options)


if __name__ == "__main__":
    sys.exit(main())
