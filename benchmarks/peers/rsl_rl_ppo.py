"""rsl_rl's PPO on our `Env`: the same worlds, rewards, episodes, batch and threads; everything else is rsl_rl's own.

Shared with `isthmus_policies.algorithms.ppo`: the Env with its seed and curriculum, hidden layers and activation, the
action's standard deviation at the start, normalised observations, worlds × steps, epochs, minibatches, γ, λ,
clipping of ratio and value, gradient norm, weight of the entropy, learning rate at the start and its bounds, and that
it follows the KL; and that the robot's symmetry is used, where there is one.

rsl_rl's own, by its defaults: mirror images beside every row, where ours is symmetric by its weights; the KL that it
aims at and how often it looks, weight of the value's loss, one gradient norm each for actor and critic, initial
weights, Adam as torch gives it, a standard deviation learned as it is (not its logarithm), value targets in units of
reward, V(s_t) where time ran out.
"""

# Only the extra `bench` has rsl_rl.
# pyright: reportMissingImports=false

from __future__ import annotations

import contextlib
import io

import torch
from rsl_rl.algorithms import PPO
from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner
from tensordict import TensorDict
from torch import Tensor

from isthmus_policies.algorithms.ppo_config import PPOConfig
from isthmus_policies.algorithms.symmetry import Reflection
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.worlds import make_engine, make_task
from isthmus_sim.env import Env, Observations
from isthmus_sim.threads import THREADS, WAITING, one_torch_thread
from isthmus_sim.waiting import OtherPrograms

GROUPS = {"policy": "actor", "critic": "critic"}
"""Observation groups: rsl_rl's name -> ours."""


class RslRlEnv(VecEnv):
    """An Env as rsl_rl takes it. reward_scale multiplies every reward."""

    def __init__(self, env: Env, reward_scale: float = 1.0) -> None:
        self.env = env
        self.cfg: dict = {}
        self.num_envs = env.num_envs
        self.num_actions = env.task.action_size
        self.max_episode_length = env.episode_steps
        self.device = env.device
        task = env.task
        sizes = {name: group.size for name, group in task.groups.items()} | {"action": task.action_size}
        self.reflection = Reflection(task.mirror, sizes, self.device) if task.mirror else None
        self._reward_scale = reward_scale
        self._observations = self._groups(env.reset())

    @property
    def episode_length_buf(self) -> Tensor:
        """Steps since the start of each episode (num_envs,). `Env(random_initial_age=True)` has already spread them."""
        return self.env.episode_step

    def get_observations(self) -> TensorDict:
        return self._observations

    def step(self, actions: Tensor) -> tuple[TensorDict, Tensor, Tensor, dict[str, Tensor]]:
        """Observations (the next episode's first where one ended), rewards, dones, and who merely ran out of time."""
        step = self.env.step(actions)
        self._observations = self._groups(step.observations)
        done = (step.terminated | step.truncated).long()
        return self._observations, self._reward_scale * step.reward, done, {"time_outs": step.truncated}

    def _groups(self, observations: Observations) -> TensorDict:
        groups = {theirs: observations[ours] for theirs, ours in GROUPS.items()}
        return TensorDict(groups, batch_size=[self.num_envs], device=self.device)  # pyright: ignore


def with_mirror_images(
    env: RslRlEnv, obs: TensorDict | None, actions: Tensor | None
) -> tuple[TensorDict | None, Tensor | None]:
    """Rows and then their mirror images, of whatever is given, as rsl_rl asks for them."""
    reflection = env.reflection
    assert reflection is not None
    if obs is not None:
        groups = {theirs: _with_images(reflection, ours, obs[theirs]) for theirs, ours in GROUPS.items()}
        obs = TensorDict(groups, batch_size=[2 * len(obs)], device=obs.device)  # pyright: ignore
    return obs, None if actions is None else _with_images(reflection, "action", actions)


class BudgetedPPO(PPO):
    """rsl_rl's PPO; torch's threads work on the update alone, and are as many as here."""

    threads: int = THREADS.torch

    def update(self) -> dict[str, float]:
        torch.set_num_threads(min(self.threads, THREADS.torch))
        try:
            return super().update()
        finally:
            torch.set_num_threads(1)


def _with_images(reflection: Reflection, name: str, rows: Tensor) -> Tensor:
    return torch.cat((rows, reflection(name, rows)))


class RslRl:
    """A training of rsl_rl's PPO with the batch and networks of `config`."""

    def __init__(self, config: TrainConfig, reward_scale: float = 1.0) -> None:
        task = make_task(config)
        engine = make_engine(config, task, config.num_envs)
        self.env = Env(task, engine, config.seed, random_initial_age=True, episode_steps=config.episode_steps)
        torch.manual_seed(config.seed)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints its networks
            self._runner = OnPolicyRunner(
                RslRlEnv(self.env, reward_scale), configuration(config), device=str(engine.device)
            )
        self._runner.alg.threads = config.torch_threads  # pyright: ignore[reportAttributeAccessIssue]
        self._others = OtherPrograms()

    def iterate(self, progress: float) -> None:
        """One roll-out and update, with the reward's curriculum at `progress`; threads wait as in our own training."""
        WAITING.suit(self._others.cores())
        self.env.progress = progress
        with one_torch_thread():
            self._runner.learn(1)

    @torch.no_grad()
    def act(self, observation: Tensor) -> Tensor:
        """The mean action for raw observations of the group "actor"."""
        return self._runner.alg.get_policy()({"policy": observation})  # pyright: ignore[reportArgumentType]


def configuration(config: TrainConfig) -> dict:
    """What rsl_rl's runner is told."""
    ppo, network = config.algorithm, config.policy
    model = {"class_name": "MLPModel", "activation": network.activation, "obs_normalization": True}
    gaussian = {"class_name": "GaussianDistribution", "init_std": network.initial_std}
    return {
        "num_steps_per_env": ppo.num_steps,
        "obs_groups": {"actor": ["policy"], "critic": ["critic"]},
        "actor": model | {"hidden_dims": network.actor, "distribution_cfg": gaussian},
        "critic": model | {"hidden_dims": network.critic},
        "algorithm": {
            "class_name": BudgetedPPO,
            "num_learning_epochs": ppo.epochs,
            "num_mini_batches": ppo.minibatches,
            "gamma": ppo.gamma,
            "lam": ppo.lam,
            "clip_param": ppo.clip,
            "use_clipped_value_loss": True,
            "schedule": "adaptive",
            "learning_rate": ppo.learning_rate,
            "entropy_coef": ppo.entropy_weight,
            "max_grad_norm": ppo.max_gradient_norm,
            "symmetry_cfg": symmetry(ppo),
        },
    }


def symmetry(ppo: PPOConfig) -> dict | None:
    """What rsl_rl's symmetry extension is told."""
    if not ppo.symmetry:
        return None
    return {"data_augmentation_func": with_mirror_images, "use_data_augmentation": True, "use_mirror_loss": False}
