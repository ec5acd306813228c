"""Each action of a sequence is judged where it would be done; the algorithm learns what to do without looking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from signs import GROUPS, Signs
from torch import Tensor, nn

from isthmus_policies.actor_learner.learner import improvable
from isthmus_policies.algorithms.sac.config import SACConfig
from isthmus_policies.algorithms.sac.replay import Transitions
from isthmus_policies.algorithms.sac.sac import SAC
from isthmus_policies.algorithms.sac.sequence import SequenceLearner, SequenceSAC, SequenceSACConfig, world_bytes
from isthmus_policies.export.export import export_run
from isthmus_policies.networks.sequence import SequenceActorCritic, SequenceConfig
from isthmus_policies.networks.squashed import SquashedActorCritic, SquashedConfig, squash
from isthmus_policies.training.checkpoint import CHECKPOINT, load_checkpoint
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.trainer import Trainer
from isthmus_sim.task import Group

SMALL = SequenceConfig(actor=(16,), critic=(16,), units=16, model=(16,), length=4, period=4)
TINY = SequenceSACConfig(collect_steps=3, update_ratio=0.1, batch_size=16, replay_steps=40, warm_up=64)
LINE = {"actor": Group(shape=(1,)), "critic": Group(shape=(1,))}
RECALLED = torch.tensor([[1.0], [1.0], [0.0], [-2.0], [-0.5], [-0.75]])
"""Where the plan of `on_a_line` does its actions: from 1 by 0.5 to 1, from there by -0.5 to 0; from -2 by 0.5 to -0.5,
from there by -0.5 to -0.75."""


class Planned(nn.Module):
    """An actor whose plan is known: means (length,) before squashing, and places of the deviation."""

    def __init__(self, means: list[float]) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.tensor(means))

    def forward(self, features: Tensor, length: int = 3) -> Tensor:
        means = self.means[:length].expand(len(features), -1)
        return torch.stack((means, torch.zeros_like(means)), dim=-1)


def on_a_line(**config: object) -> SequenceLearner:
    """Of a robot on a line, x' = x / 2 + u by its model, whose plan is to do 0.5, -0.5 and 0."""
    torch.manual_seed(0)
    policy = SequenceActorCritic(LINE, 1, replace(SMALL, model=(), length=3, period=3))
    with torch.no_grad():
        policy.model[0].weight.copy_(torch.tensor([[-0.5, 1.0]]))  # pyright: ignore
    policy.actor = Planned(torch.tensor([0.5, -0.5, 0.0]).atanh().tolist())
    return SequenceLearner(policy, SequenceSACConfig(**config), torch.Generator().manual_seed(1))  # pyright: ignore


def steps(x: Tensor, action: Tensor, after: Tensor, discount: Tensor | None = None) -> Transitions:
    n = len(x)
    return Transitions(
        observations={"actor": x, "critic": x}, action=action, reward=torch.zeros(n),
        next={"actor": after, "critic": after}, discount=torch.full((n,), 0.9) if discount is None else discount,
        known=torch.ones(n, dtype=torch.bool),
    )  # fmt: skip


def test_actions_are_judged_where_the_plan_has_led_to():
    learner = on_a_line()
    action = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).unsqueeze(1)
    seen = {"actor": torch.zeros(2, 1), "critic": torch.tensor([[1.0], [-2.0]])}
    judged = learner._judged(seen, learner._outputs(seen), action)
    torch.testing.assert_close(judged, torch.cat((RECALLED, action), dim=1))


def test_the_actors_gradient_is_that_of_its_loss_at_the_recalled_states():
    """Less the least value of a drawn action, plus what its density costs: the mean over all actions of the plans."""
    learner, x = on_a_line(initial_temperature=0.3), torch.tensor([[1.0], [-2.0]])
    policy = learner.policy
    noise = torch.empty(6, 1).normal_(generator=torch.Generator().manual_seed(1))
    action, log_prob = squash(policy.sequence({"actor": x}).flatten(0, 1), noise)
    value = policy.critics(torch.cat((RECALLED, action), dim=-1)).amin(0)
    (expected,) = torch.autograd.grad((0.3 * log_prob - value).mean(), policy.actor.means)  # pyright: ignore
    learner._improve_actor(steps(x, torch.zeros(2, 1), x), learner.temperature)
    torch.testing.assert_close(learner.actor.gradient[:3], expected)


def test_the_models_loss_is_how_far_off_it_is_and_ends_do_not_count():
    """By the model from 1 by 0.5 to 1 and from 2 by 0 to 1; in truth to 0 and to 3, or to an end."""
    x, action, after = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.5], [0.0]]), torch.tensor([[0.0], [3.0]])
    for discount, loss in ((torch.tensor([0.9, 0.9]), (1 + 4) / 2), (torch.tensor([0.9, 0.0]), 1 / 2)):
        learner = on_a_line()
        named = dict(zip(learner.logged, learner.step(steps(x, action, after, discount)).tolist(), strict=True))
        assert named["model_loss"] == pytest.approx(loss)


def test_the_model_learns_a_linear_system():
    learner, generator = on_a_line(learning_rate=1e-2), torch.Generator().manual_seed(2)
    for _ in range(400):
        x, action = (2 * torch.rand(64, 1, generator=generator) - 1 for _ in range(2))
        learner._improve_model(steps(x, action, 0.9 * x + 0.2 * action))
    weight, bias = learner.policy.model.parameters()
    torch.testing.assert_close(weight.data, torch.tensor([[-0.1, 0.2]]), atol=1e-3, rtol=0)
    torch.testing.assert_close(bias.data, torch.zeros(1), atol=1e-3, rtol=0)


def learned(iterations: int, policy: SequenceConfig = SMALL, worlds: int = 32, **config: object) -> SequenceSAC:
    """In worlds in which the action should be a sign that the actor sees in an episode's first of four steps alone."""
    torch.manual_seed(0)
    settings = {"collect_steps": 4, "update_ratio": 0.125, "batch_size": 64, "replay_steps": 200, "warm_up": 256}
    settings |= {"gamma": 0.5, "learning_rate": 1e-2, "initial_temperature": 0.1} | config
    made = SequenceActorCritic(GROUPS, 2, policy)
    sac = SequenceSAC(Signs(worlds), made, SequenceSACConfig(**settings), torch.Generator().manual_seed(1))  # pyright: ignore
    for i in range(iterations):
        sac.collect()
        sac.update(i / iterations)
    return sac


@torch.no_grad()
def errors(sac: SequenceSAC) -> list[float]:
    """Mean distance of the mean action from the sign, in each step of an episode."""
    observations, memory, found = sac.env.reset(), sac.policy.initial_memory(32), []
    for _ in range(4):
        action, memory = sac.policy.act(observations, memory, {})
        found.append(float((action[:, 0] - observations["critic"][:, 0]).abs().mean()))
        observations = sac.env.step(action).observations
    return found


def test_it_learns_what_to_do_while_it_does_not_look():
    assert min(errors(learned(1))) > 0.7
    assert max(errors(learned(20))) < 0.35


def test_it_explores_by_its_plans_and_makes_new_ones_where_an_episode_ends():
    sac = learned(2, replace(SMALL, length=8, period=8), worlds=4, warm_up=16, update_ratio=0.25)
    left = []
    for _ in range(6):
        sac._step()
        left.append(sac._memory["left"][:, 0].tolist())
    assert left == [[float(n)] * 4 for n in (7, 6, 5, 0, 7, 6)], "an episode has four steps"


def test_others_policies_and_several_steps_are_refused():
    plain, sequence = SquashedActorCritic(GROUPS, 2, SquashedConfig()), SequenceActorCritic(GROUPS, 2, SMALL)
    for refusing in (
        lambda: SequenceSAC(Signs(), plain, TINY, torch.Generator()),  # pyright: ignore
        lambda: world_bytes(plain, GROUPS, 2, TINY),
    ):
        with pytest.raises(ValueError, match="such as --policy sequence, this is a SquashedActorCritic"):
            refusing()
    with pytest.raises(ValueError, match="without memory, such as --policy squashed, this is a SequenceActorCritic"):
        SAC(Signs(), sequence, SACConfig(), torch.Generator())  # pyright: ignore
    with pytest.raises(ValueError, match="take --policy squashed, this is a SequenceActorCritic"):
        improvable(sequence, Signs())  # pyright: ignore
    with pytest.raises(ValueError, match="n_step must be 1, got 3"):
        SequenceSACConfig(n_step=3)


# In the trainer
# ---------------------------------------------------------------------------------------------------------------------
def trainer(small: Callable[..., TrainConfig], **changes: object) -> Trainer:
    values = {"policy_name": "sequence", "policy": SMALL, "algorithm_name": "sac-sequence", "algorithm": TINY}
    return Trainer(small(**{**values, "num_envs": 16, "episode_steps": 15, **changes}))


def run(trained: Trainer, iterations: int) -> list[dict[str, float]]:
    return [{k: v for k, v in trained.iterate().items() if k != "seconds"} for _ in range(iterations)]


def test_a_resumed_run_is_the_uninterrupted_run(small: Callable[..., TrainConfig], tmp_path: Path):
    """It is interrupted in the middle of plans: three steps an iteration, four a plan."""
    for name in ("whole", "part"):
        (tmp_path / name).mkdir()
    whole, interrupted = trainer(small), trainer(small)
    rows = run(whole, 10)
    whole.save(tmp_path / "whole")
    run(interrupted, 5)
    algorithm = interrupted.algorithm
    assert isinstance(algorithm, SequenceSAC)
    assert 0 < float(algorithm._memory["left"].max()) < 4
    interrupted.save(tmp_path / "part")
    torch.rand(11)
    resumed = Trainer.resume(tmp_path / "part")
    assert run(resumed, 5) == rows[5:]
    resumed.save(tmp_path / "part")
    (first, _), (second, _) = (load_checkpoint(tmp_path / name / CHECKPOINT) for name in ("whole", "part"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert set().union(*rows) | {"seconds"} == set(whole.columns)


@pytest.mark.long  # torch's exporter takes ten seconds to be imported
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # torch's exporter's own
def test_its_policy_is_exported_with_its_plan(small: Callable[..., TrainConfig], tmp_path: Path):
    trained = trainer(small)
    run(trained, 4)
    trained.save(tmp_path)
    export_run(tmp_path, tmp_path / "policy.onnx", episodes=4)
    assert (tmp_path / "policy.onnx").stat().st_size > 1000
