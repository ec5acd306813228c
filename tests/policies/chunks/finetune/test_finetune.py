"""Fine-tuning goes on bit for bit, leaves policies that load as others do, and refuses what it cannot improve."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pytest
import torch
from pusher_chunks import SPEC, untrained_chunks, write_untrained_run

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_deploy.chunk_executor import ExecutorConfig
from isthmus_policies.chunks.finetune import command
from isthmus_policies.chunks.finetune.collector import Collector
from isthmus_policies.chunks.finetune.config import PPO, FinetuneConfig
from isthmus_policies.chunks.finetune.critic import Critic
from isthmus_policies.chunks.finetune.explorer import ActionExplorer, CorrectionExplorer, NoiseExplorer
from isthmus_policies.chunks.finetune.starts import USUAL, shown_starts
from isthmus_policies.chunks.finetune.trainer import Finetuner
from isthmus_policies.chunks.methods.denoising import DenoisingPolicy
from isthmus_policies.chunks.methods.few_step import FewStep
from isthmus_policies.chunks.runner import Execution, executor_of, network_runner
from isthmus_policies.chunks.training.run import load_chunk_run, policy_files
from isthmus_policies.training.checkpoint import CHECKPOINT
from isthmus_policies.training.logs import read_metrics
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.tasks import make_task

SMALL = PPO(critic_alone=1, epochs=2, batch_size=16)
Way = Literal["correction", "actions", "noise"]
WAYS = get_args(Way)
OBSERVED = {"observation.state": torch.linspace(0.0, 500.0, 5 * SPEC.observed * 5).reshape(5, SPEC.observed, 5)}


@pytest.fixture(scope="module")
def begun_with(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_untrained_run(tmp_path_factory.mktemp("runs") / "flow", "flow")


def config(policy: Path, **changes: object) -> FinetuneConfig:
    made = FinetuneConfig(
        policy=policy,
        worlds=8,
        decisions=2,
        iterations=4,
        episodes=2,
        torch_threads=1,
        ppo=SMALL,
        judge_every=100,
        shown=0.0,
    )
    return replace(made, **changes)


def learned(tuner: Finetuner) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in tuner.policy.parameters()])


def weights(tuner: Finetuner) -> torch.Tensor:
    return torch.cat([value.flatten() for value in tuner.policy.state_dict().values()])


@pytest.mark.parametrize("way", WAYS)
def test_only_the_critic_learns_at_first_then_the_policy_does(begun_with: Path, way: Way):
    tuner = Finetuner(config(begun_with, ppo=replace(SMALL, way=way)))
    start = learned(tuner)
    first = tuner.iterate()
    assert torch.equal(learned(tuner), start)
    second = tuner.iterate()
    assert not torch.equal(learned(tuner), start)
    assert first["learner/kl"] == 0.0 < second["learner/kl"]
    assert second["learner/away"] > 0.0
    assert tuner.steps == 2 * 8 * 2 * (1 if way == "correction" else SPEC.horizon // 2)
    tuner.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_run_goes_on_bit_for_bit(begun_with: Path, tmp_path: Path, way: Way):
    asked = config(begun_with, ppo=replace(SMALL, way=way))
    whole, stopped = Finetuner(asked), Finetuner(asked)
    losses = [whole.iterate()["learner/value_loss"] for _ in range(4)]
    for _ in range(2):
        stopped.iterate()
    stopped.save(tmp_path)
    gone_on = Finetuner.resume(tmp_path)
    assert [gone_on.iterate()["learner/value_loss"] for _ in range(2)] == losses[2:]
    assert torch.equal(weights(gone_on), weights(whole))
    with pytest.raises(ValueError, match="cannot change worlds"):
        Finetuner.resume(tmp_path, replace(asked, worlds=4))


def test_the_command_leaves_the_last_policies_and_what_it_found(
    begun_with: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    arguments = [str(begun_with), "--run", str(tmp_path), "--worlds", "4", "--decisions", "1", "--iterations", "3"]
    arguments += ["--checkpoint-every", "1", "--keep", "2", "--episodes", "2", "--torch-threads", "1", "--shown", "0"]
    monkeypatch.setattr("sys.argv", ["isthmus-finetune", *arguments])
    command.main()
    assert [file.name for file in policy_files(tmp_path)] == ["step-0000002.safetensors", "step-0000003.safetensors"]
    assert load_chunk_run(tmp_path).config == load_chunk_run(begun_with).config
    rows = read_metrics(tmp_path)
    assert [row["iteration"] for row in rows] == [0.0, 1.0, 2.0]
    assert 0.0 <= rows[-1]["roll_out/success_low"] <= rows[-1]["roll_out/success"]
    assert (tmp_path / CHECKPOINT).is_file()
    with pytest.raises(SystemExit, match="is not empty"):
        command.main()


def test_exploring_actions_is_around_what_the_policy_does(begun_with: Path):
    policy = load_chunk_run(begun_with).policy
    explorer = ActionExplorer(policy, 4, cosines=2, deviation=0.1)
    state, noise = {"observation.state": torch.rand(5, SPEC.observed, 5) * 500}, policy.noise(5)
    with torch.no_grad():
        found = explorer.explore(state, noise, None, torch.Generator().manual_seed(0))
        mean = explorer.mean(found.seen)
        still = ActionExplorer(policy, 4, cosines=2, deviation=1e-9)
        own = still.explore(state, noise, None, torch.Generator()).chunk[:, :4]
        torch.testing.assert_close(policy.actions(own), policy.sample(state, noise=noise)[:, :4])
        # A deviation more of the first cosine, in x: 1²/2 less likely, and as much is the KL.
        off = mean.clone()
        off[:, 0, 0] += explorer.log_deviation[0, 0].exp()
        less_likely = explorer.log_probability(mean, mean) - explorer.log_probability(off, mean)
    assert mean.shape == (5, 2, 2)
    torch.testing.assert_close(found.mean, mean)
    added = found.chunk[:, :4] - own
    assert added.abs().max() > 0.05
    # The first cosine of four actions is 1/2 in each, and the second is turned about their middle.
    torch.testing.assert_close(added.mean(1), 0.5 * (found.drawn - mean)[:, 0])
    torch.testing.assert_close(added[:, 0] + added[:, 3], added[:, 1] + added[:, 2])
    torch.testing.assert_close(explorer.away(off, mean), torch.full((5,), 0.5))
    torch.testing.assert_close(less_likely, torch.full((5,), 0.5))


def test_steering_changes_the_noise_and_nothing_else_and_is_kept(begun_with: Path, tmp_path: Path):
    plain = load_chunk_run(begun_with).policy
    steering = replace(SMALL, way="noise")
    tuner = Finetuner(config(begun_with, ppo=steering))
    for _ in range(2):
        tuner.iterate()
    tuner.save(tmp_path)
    tuner.close()
    policy = load_chunk_run(tmp_path).policy
    assert isinstance(policy, DenoisingPolicy)
    assert policy.steering is not None
    state, noise = {"observation.state": torch.rand(5, SPEC.observed, 5) * 500}, policy.noise(5)
    with torch.no_grad():
        steered = policy.steering(policy.embed(state), noise)
        torch.testing.assert_close(policy.sample(state, noise=noise), plain.sample(state, noise=steered))
    assert (steered - noise).abs().max() > 1e-4
    assert all(torch.equal(policy.state_dict()[name], value) for name, value in plain.state_dict().items())
    again = Finetuner(config(tmp_path, ppo=steering))  # goes on with the network that steers already
    assert torch.equal(again.policy.state_dict()["steering.log_deviation"], policy.steering.log_deviation)
    again.close()


def test_noise_that_is_not_steered_yet_gives_the_policys_own_chunks(begun_with: Path):
    policy = load_chunk_run(begun_with).policy
    explorer = NoiseExplorer(policy, 4, width=16)
    state, noise = {"observation.state": torch.rand(5, SPEC.observed, 5) * 500}, policy.noise(5)
    with torch.no_grad():
        found = explorer.explore(state, noise, None, torch.Generator().manual_seed(0))
        begun = torch.cat((found.drawn.unsqueeze(1), noise[:, 1:]), dim=1)
        own = load_chunk_run(begun_with).policy.sample(state, noise=begun)
    torch.testing.assert_close(policy.actions(found.chunk), own)
    assert found.mean.abs().max() < 0.1


def test_a_correction_moves_the_next_action_of_a_plan_and_nothing_else(begun_with: Path, tmp_path: Path):
    plain = load_chunk_run(begun_with).policy
    tuner = Finetuner(config(begun_with, ppo=replace(SMALL, rate=1e-2)))
    for _ in range(3):
        tuner.iterate()
    tuner.save(tmp_path)
    tuner.close()
    policy = load_chunk_run(tmp_path).policy
    noise, plan = policy.noise(5), torch.rand(5, SPEC.horizon, 2) * 500
    for init in (None, plan):
        own, corrected = (each.sample(OBSERVED, noise=noise, init=init) for each in (plain, policy))
        assert torch.equal(corrected[:, 1:], own[:, 1:])
        assert (corrected[:, 0] - own[:, 0]).abs().max() > 1e-3
    assert executor_of(plain) == ExecutorConfig(horizon=SPEC.horizon, execute=SPEC.horizon // 2)
    assert executor_of(policy) == ExecutorConfig(horizon=SPEC.horizon, execute=1, strategy="warm_start")
    again = Finetuner(config(tmp_path, ppo=replace(SMALL, width=16)))  # goes on with the correction that is there
    for name, value in policy.state_dict().items():
        assert torch.equal(again.policy.state_dict()[name], value)
    again.save(tmp_path / "again")
    again.close()
    assert load_chunk_run(tmp_path / "again").policy.plans_every_tick
    student = untrained_chunks("few_step")
    assert isinstance(student, FewStep)
    with pytest.raises(ValueError, match="corrects its actions"):
        student.learn_from(policy)
    with pytest.raises(ValueError, match=r"by --ppo\.way correction, not actions"):
        Finetuner(config(tmp_path, ppo=replace(SMALL, way="actions")))


def test_plans_are_carried_on_as_the_robot_does_it(begun_with: Path, monkeypatch: pytest.MonkeyPatch):
    """Without exploration, training sees the commands that an evaluation from the same starts sends."""
    policy = load_chunk_run(begun_with).policy
    task, seed = make_task("push_t"), 3
    draw, drawn_from = policy.noise, torch.Generator().manual_seed(seed)
    monkeypatch.setattr(policy, "noise", lambda n, _: draw(n, drawn_from))  # exploring draws in between
    with torch.no_grad():
        explorer = CorrectionExplorer(policy, width=16, deviation=1e-9)
        env = Env(task, make_engine(task.scene, 4, task.engines[0]), seed)
        collector = Collector(env, explorer, Critic(task), SMALL, torch.Generator().manual_seed(seed))
        sent = []
        for _ in range(5):
            collector.collect(1)
            sent.append(env.command["target_position"].clone())
        beside = Env(task, make_engine(task.scene, 4, task.engines[0]), seed)
        runner = network_runner(policy, beside, Execution(executor=executor_of(policy), seed=seed))
        shown = [runner.step(beside).commands["target_position"].clone() for _ in range(5)]
    torch.testing.assert_close(torch.stack(sent), torch.stack(shown), rtol=0, atol=1e-2)


def test_episodes_begin_in_what_the_policy_has_learned_from(begun_with: Path, tmp_path: Path):
    features = {
        "observation.state": Feature(dtype="float32", shape=(5,), names=("disc_x", "disc_y", "x", "y", "angle")),
        "action": Feature(dtype="float32", shape=(2,), names=("x", "y")),
    }
    shown = np.array([[100, 200, 300, 250, 1.5], [110, 210, 310, 260, 4.5]], np.float32)
    with DatasetWriter.create(tmp_path / "pushes", fps=10, features=features, robot_type="pusher") as writer:
        for row in shown:
            columns = {"observation.state": row[None], "action": row[None, :2]}
            writer.append(Episode(columns=columns, videos={}, task="push", facts={}))
    run, task = load_chunk_run(begun_with), make_task("push_t")
    run = replace(run, config=replace(run.config, datasets=(tmp_path / "pushes",)))
    usual, all_of_them = (shown_starts(run, task, share) for share in (None, 1.0))
    assert usual is not None
    assert all_of_them is not None
    assert usual.share == USUAL
    env = Env(task, make_engine(task.scene, 16, task.engines[0]), 0, starts=all_of_them)
    observed = env.reset()["actor"]
    off = (observed.unsqueeze(1) - torch.from_numpy(shown)).abs().amax(-1)
    assert off.amin(1).max() < 1e-3
    assert set(off.argmin(1).tolist()) == {0, 1}


def test_demonstrations_that_cannot_be_begun_in_are_told(begun_with: Path):
    run, task = load_chunk_run(begun_with), make_task("push_t")
    assert shown_starts(run, task, 0.0) is None
    with pytest.raises(DatasetError, match=r"pushes.*--shown 0 does without"):
        shown_starts(run, task, None)
    other = make_task("pick_place")
    assert shown_starts(run, other, None) is None
    with pytest.raises(ValueError, match="'pick_place' has no state_of"):
        shown_starts(run, other, 0.5)
    with pytest.raises(ValueError, match="shown is a share"):
        config(begun_with, shown=1.5)


def test_what_cannot_be_improved_is_refused(begun_with: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="a policy that draws"):
        NoiseExplorer(untrained_chunks("cloning"), 4, 16)
    with pytest.raises(ValueError, match="is of one action, and 2 shall be done"):
        Finetuner(config(begun_with, execute=2))
    with pytest.raises(ValueError, match="9 of 8 actions"):
        ActionExplorer(untrained_chunks("flow"), 9, 3, 0.1)
    with pytest.raises(ValueError, match="told a goal"):
        NoiseExplorer(untrained_chunks("flow", replace(SPEC, goal=("observation.state",))), 4, 16)
    with pytest.raises(ValueError, match="has no goal"):
        Finetuner(config(begun_with, task="quadrotor"))
    with pytest.raises(FileNotFoundError):
        Finetuner(config(tmp_path))
