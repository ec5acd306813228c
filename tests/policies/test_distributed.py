"""Several processes train as one with all of their worlds. Real processes, started by torchrun."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from isthmus_policies import distributed
from isthmus_policies.algorithms.learner import Learner
from isthmus_policies.algorithms.ppo_config import PPOConfig
from isthmus_policies.algorithms.rollout import Rollout, TimeOuts
from isthmus_policies.networks.actor_critic import ActorCritic, ActorCriticConfig
from isthmus_policies.training.checkpoint import CHECKPOINT, CheckpointError
from isthmus_policies.training.config import TrainConfig, default_config
from isthmus_policies.training.trainer import Trainer
from isthmus_sim.task import Group, Mirror

MIRROR = {
    "actor": Mirror(index=(0, 2, 1), sign=(-1.0, 1.0, 1.0)),
    "critic": Mirror(index=(3, 1, 2, 0), sign=(1.0, -1.0, 1.0, 1.0)),
    "action": Mirror(index=(1, 0), sign=(-1.0, -1.0)),
}
WORLDS = 32

GROUPS = {"actor": Group(shape=(3,)), "critic": Group(shape=(4,))}


def torchrun(*arguments: str) -> str:
    """What two processes print."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


# What the processes do, and this one to compare
# ---------------------------------------------------------------------------------------------------------------------
def experience(policy: ActorCritic, iteration: int, worlds: slice) -> Rollout:
    """Some of the worlds of a roll-out: their own scale each, so that no half is like the other."""
    generator = torch.Generator().manual_seed(iteration)
    scale = torch.linspace(0.1, 3, WORLDS).unsqueeze(-1)
    actor, critic = (scale * torch.randn(8, WORLDS, size, generator=generator) + scale for size in (3, 4))
    noise = torch.randn(8, WORLDS, 2, generator=generator)
    done = torch.rand(8, WORLDS, generator=generator) < 0.1
    with torch.no_grad():
        mean = policy.act({"actor": actor}, {}, {})[0]
        action = mean + policy.std() * noise
    reward = (5 - action[..., 0].square()) * scale.squeeze(-1)
    mine = slice(worlds.start, worlds.stop)
    return Rollout(
        observations={"actor": actor[:, mine], "critic": critic[:, mine]}, memory={}, action=action[:, mine],
        mean=mean[:, mine], reward=reward[:, mine], terminated=torch.zeros_like(done[:, mine]), done=done[:, mine],
        time_outs=[
            TimeOuts(step=t, worlds=ids, final={"critic": critic[t, mine][ids] + 1})
            for t in range(8) if len(ids := done[t, mine].nonzero().squeeze(-1))
        ],
        last={"critic": critic[-1, mine]},
    )  # fmt: skip


def learnt(symmetry: bool, worlds: slice) -> dict[str, Tensor]:
    """The policy after some iterations, and what the last one logged. A pass is one gradient step: otherwise the order
    of the rows would count."""
    policy = ActorCritic(GROUPS, 2, ActorCriticConfig(actor=(8,), critic=(8,)))
    config = PPOConfig(minibatches=1, epochs=3, symmetry=symmetry)
    learner = Learner(policy, config, torch.Generator(), MIRROR)
    logged = {}
    for iteration in range(5):
        logged = learner.update(experience(policy, iteration, worlds), 0.0)
    state = {f"{symmetry}.{name}": value for name, value in policy.state_dict().items()}
    return state | {f"{symmetry}.{name}": torch.tensor(value) for name, value in logged.items()}


def main(folder: Path) -> None:
    """Each of two processes learns from half of the worlds and goes on with a training; both go to a file."""
    torch.set_num_threads(1)
    distributed.start()
    half = WORLDS // distributed.size()
    torch.manual_seed(distributed.rank())  # the first one's parameters must become everyone's
    tensors = {}
    for symmetry in (False, True):
        tensors |= learnt(symmetry, slice(distributed.rank() * half, (distributed.rank() + 1) * half))
        torch.manual_seed(distributed.rank())
    trainer = Trainer(small_training())
    rows = [trainer.iterate() for _ in range(3)]
    tensors |= {f"trained.{name}": value.clone() for name, value in trainer.policy.state_dict().items()}
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in rows]
    tensors |= {f"row.{name}": torch.tensor(value, dtype=torch.float64) for name, value in rows[-1].items()}
    trainer.save(folder)
    for running in (trainer, Trainer.resume(folder)):
        running.iterate()
        name = "went_on" if running is trainer else "resumed"
        tensors |= {f"{name}.{part}": value.clone() for part, value in running.policy.state_dict().items()}
        tensors |= {f"{name}_env.{part}": value.clone() for part, value in running.env.state_dict().items()}
    tensors["worlds"] = trainer.env.signals["position"]
    save_file(
        {name: value.contiguous() for name, value in tensors.items()}, folder / f"{distributed.rank()}.safetensors"
    )


def crash(folder: Path) -> None:
    """Each of two processes saves, then saves what the first one never comes to write; both go on."""
    torch.set_num_threads(1)
    distributed.start()
    trainer = Trainer(small_training())
    trainer.iterate()
    trainer.save(folder)
    trainer.iterate()
    if not distributed.leads():
        trainer._save_worlds(folder)
    distributed.barrier()
    resumed = Trainer.resume(folder)
    (folder / f"resumed{distributed.rank()}").write_text(str(resumed.iteration))
    resumed.iterate()
    resumed.save(folder)


def small_training() -> TrainConfig:
    policy = ActorCriticConfig(actor=(16, 16), critic=(16, 16))
    return replace(
        default_config("quadrotor"), num_envs=64, iterations=6, algorithm=PPOConfig(minibatches=4), policy=policy
    )


# What came out
# ---------------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    folder = tmp_path_factory.mktemp("two")
    torchrun(__file__, str(folder))
    return [load_file(folder / f"{rank}.safetensors") for rank in (0, 1)]


@pytest.mark.parametrize("symmetry", [False, True])
def test_two_processes_learn_what_one_does_from_all_worlds(two: list[dict[str, Tensor]], symmetry: bool):
    """Gradients, advantages, normalisers, divergence and learning rate: 15 steps later, parameters agree to 1e-5."""
    torch.manual_seed(0)
    expected = learnt(symmetry, slice(0, WORLDS))
    for name, value in expected.items():
        torch.testing.assert_close(two[0][name], value, rtol=1e-5, atol=1e-5, msg=name)
    alone = learnt(symmetry, slice(0, WORLDS // 2))
    weight = f"{symmetry}.actor.0.weight"
    assert not torch.allclose(alone[weight], expected[weight], atol=1e-3), "the other half matters"


def test_both_processes_have_the_same_policy(two: list[dict[str, Tensor]]):
    """Bit for bit, of worlds that differ; and log the same of all of them."""
    first, second = two
    assert set(first) == set(second)
    differ = {name for name in first if not torch.equal(first[name], second[name])}
    assert {name.split(".")[0] for name in differ} == {"worlds", "went_on_env", "resumed_env"}
    assert not torch.equal(first["trained.actor.0.weight"], first["went_on.actor.0.weight"])
    assert len(first["worlds"]) == 32, "half of the worlds"
    assert int(first["row.steps"]) == 3 * 64 * 16, "of all worlds"


def test_a_resumed_run_is_the_uninterrupted_run_in_every_process(two: list[dict[str, Tensor]]):
    """Weights and worlds, those of the second process too, bit for bit."""
    for tensors in two:
        expected = {name: value for name, value in tensors.items() if name.startswith("went_on")}
        assert len(expected) > 40
        for name, value in expected.items():
            assert torch.equal(tensors[name.replace("went_on", "resumed", 1)], value), name


def test_a_crash_between_two_processes_files_leaves_one_whole_checkpoint(tmp_path: Path):
    """The second process has written iteration 2 when the first is killed before it has: the run goes on from
    iteration 1, whose file of the second is still there. Once the first has written, the old one goes."""
    torchrun(__file__, str(tmp_path), "crash")
    assert [(tmp_path / f"resumed{rank}").read_text() for rank in (0, 1)] == ["1", "1"]
    assert [path.name for path in tmp_path.glob("checkpoint-rank*")] == ["checkpoint-rank1-2.safetensors"]


def test_a_training_in_two_processes_is_one_run(tmp_path: Path):
    """One log, one checkpoint, one report on the console."""
    run = tmp_path / "run"
    options = ("--num-envs", "32", "--algorithm.minibatches", "2", "--iterations", "3", "--run", str(run))
    # After "--" torchrun does not take the program's --run for one of its own options.
    assert torchrun("-m", "--", "isthmus_policies.training.train", "quadrotor", *options).count("steps in") == 1
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["iteration"]) for row in rows] == [0, 1, 2]
    assert int(rows[-1]["steps"]) == 3 * 32 * 16
    assert sorted(path.name for path in run.glob("checkpoint*")) == ["checkpoint-rank1-3.safetensors", CHECKPOINT]
    with pytest.raises(CheckpointError, match=r"trained by 2 processes, this is 1: start as many with torchrun"):
        Trainer.resume(run)


def test_worlds_that_cannot_be_shared_out_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(distributed, "size", lambda: 3)
    with pytest.raises(ValueError, match="num_envs 64 cannot be shared out equally to 3 processes"):
        Trainer(replace(small_training()))


if __name__ == "__main__":
    (crash if sys.argv[2:] else main)(Path(sys.argv[1]))
