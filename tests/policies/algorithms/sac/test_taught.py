"""Half of what is learned from was shown: demonstrations, and what was done in the learner's place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from signs import GROUPS, Signs
from torch import Tensor

from isthmus_policies.algorithms.sac import sac as module
from isthmus_policies.algorithms.sac.config import SACConfig
from isthmus_policies.algorithms.sac.replay import Transitions
from isthmus_policies.algorithms.sac.sac import COPIES, SAC, world_bytes
from isthmus_policies.demonstrate.transitions import Options, record
from isthmus_policies.interventions.config import InterventionsConfig
from isthmus_policies.interventions.intervener import Intervener
from isthmus_policies.interventions.rules import Anything
from isthmus_policies.networks.policy import Policy, Tensors
from isthmus_policies.networks.squashed import SquashedActorCritic, SquashedConfig
from isthmus_policies.training.checkpoint import CHECKPOINT, load_checkpoint
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.logs import read_metrics
from isthmus_policies.training.train import main
from isthmus_policies.training.trainer import Trainer

SMALL = SquashedConfig(actor=(16,), critic=(16,), actor_groups=("critic",))
TINY = SACConfig(collect_steps=2, update_ratio=0.1, batch_size=16, replay_steps=40, warm_up=64, n_step=3)
SOMEBODY = InterventionsConfig(teacher=Path("somebody"), probability=1.0, duration=2)


class Teacher(Policy):
    """Always does the same."""

    def act(self, observations: Tensors, memory: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        return torch.full((len(observations["critic"]), 2), 0.5), {}


def taken_over_from(patch: pytest.MonkeyPatch, steps: int, somebody: InterventionsConfig, **config: object) -> SAC:
    """SAC in two worlds with episodes of four steps, after so many of them."""

    def made(asked: InterventionsConfig, task: object, worlds: int, generator: torch.Generator) -> Intervener:
        return Intervener(Teacher(), Anything(), asked, worlds, generator)

    patch.setattr(module, "make_intervener", made)
    settings = {"collect_steps": 1, "update_ratio": 0.5, "batch_size": 20, "replay_steps": 40, "n_step": 1}
    sac_config = SACConfig(**settings | {"interventions": somebody} | config)  # pyright: ignore
    policy = SquashedActorCritic(GROUPS, 2, SMALL)
    sac = SAC(Signs(2), policy, sac_config, torch.Generator().manual_seed(1))  # pyright: ignore
    for _ in range(steps):
        sac.collect()
    return sac


def test_what_was_done_is_in_both_replays(monkeypatch: pytest.MonkeyPatch):
    """The learner's first step is taken over upon, the second and third are the teacher's, the last is the learner's
    again; then time is out."""
    sac = taken_over_from(monkeypatch, 8, SOMEBODY)
    online, shown = sac.replay._kept, sac.taught.interventions
    by_teacher = (online["action"] == 0.5).all(-1)
    assert by_teacher[:8, 0].tolist() == [False, True, True, False] * 2
    assert shown is not None
    assert len(shown) == 2 * 2 * 3, "two steps and how the world was seen after them, twice in two worlds"
    for place, (world, first) in enumerate([(0, 1), (1, 1), (0, 5), (1, 5)]):
        rows, ours = shown._kept, slice(3 * place, 3 * place + 3)
        for name in ("observations.critic", "action", "reward"):
            assert torch.equal(rows[name][ours, 0][:2], online[name][first : first + 2, world])
        assert torch.equal(rows["observations.critic"][ours, 0][2], online["observations.critic"][first + 2, world])
        assert rows["truncated"][ours, 0].tolist() == [False, False, True]
    known = shown.sample(100, 1, 0.9, torch.Generator().manual_seed(0)).known
    assert 0.5 < float(known.float().mean()) < 0.8, "of the last row of three nothing is known"


def test_an_episode_that_ends_in_somebodys_hands_is_closed_there(monkeypatch: pytest.MonkeyPatch):
    sac = taken_over_from(monkeypatch, 4, replace(SOMEBODY, duration=40))
    shown = sac.taught.interventions
    assert shown is not None
    assert len(shown) == 2 * 3
    assert shown._kept["truncated"][:3, 0].tolist() == [False, False, True], "of what the last action led to"
    assert (shown._kept["action"][:6] == 0.5).all()


def test_rlifs_reward_by_hand(monkeypatch: pytest.MonkeyPatch):
    """-1 for the step upon which somebody takes over, whatever the task earns; none for the last one, which is cut."""
    sac = taken_over_from(monkeypatch, 8, SOMEBODY, reward="takeovers")
    assert sac.replay._kept["reward"][:8].tolist() == [[-1.0] * 2, [0.0] * 2, [0.0] * 2, [0.0] * 2] * 2
    earned = taken_over_from(monkeypatch, 8, SOMEBODY).replay._kept["reward"][:8]
    assert not bool((earned == 0).any()), "the task's own otherwise"


def test_a_failure_is_minded_too(monkeypatch: pytest.MonkeyPatch):
    sac = taken_over_from(monkeypatch, 0, replace(SOMEBODY, probability=0.0), reward="takeovers")
    step, ends = sac.env.step, iter([(False, False), (True, False), (True, True)])

    def ending(action: Tensor):
        done = step(action)
        failed_or_succeeded, succeeded = next(ends)
        done.terminated[:], done.succeeded[:] = failed_or_succeeded, succeeded
        return done

    monkeypatch.setattr(sac.env, "step", ending)
    for _ in range(3):
        sac.collect()
    assert sac.replay._kept["reward"][:3, 0].tolist() == [0.0, -1.0, 0.0]


def test_half_of_a_batch_was_shown(monkeypatch: pytest.MonkeyPatch):
    """The actions of what was shown are 0.5, and those of the closing rows 0; the learner's are none of these."""
    sac = taken_over_from(monkeypatch, 1, SOMEBODY)
    assert [size for _, size in sac.taught.shares(sac.replay, 20)] == [20], "nothing was shown yet"
    for _ in range(20):
        sac.collect()
    sac.replay._kept["action"][:] = 0.25
    action = sac._batch().action[:, 0]
    assert len(action) == 20
    assert int((action == 0.25).sum()) == 10
    assert set(action.tolist()) == {0.25, 0.5, 0.0}


def test_a_batch_has_what_all_replays_remember():
    """An intervener sees more than the learner: what it sees is remembered online, and not in what was shown."""

    def part(*names: str) -> Transitions:
        seen, two = {name: torch.ones(2, 3) for name in names}, torch.ones(2)
        return Transitions(
            observations=seen, action=torch.ones(2, 1), reward=two, next=seen, discount=two, known=two.bool()
        )

    batch = Transitions.joined([part("actor", "trouble"), part("actor")])
    assert {name: tuple(value.shape) for name, value in batch.observations.items()} == {"actor": (4, 3)}
    assert batch.reward.shape == (4,)


def test_demonstrations_and_interventions_share_a_half(
    small: Callable[..., TrainConfig], run_folder: Path, tmp_path: Path
):
    trainer = Trainer(shown(small, run_folder, tmp_path, iterations=20))
    for _ in range(20):
        trainer.iterate()
    sac = trainer.algorithm
    assert isinstance(sac, SAC)
    (_, own), (demonstrations, first), (interventions, second) = sac.taught.shares(sac.replay, 100)
    assert (own, first + second) == (50, 50)
    assert first / 50 == pytest.approx(len(demonstrations) / (len(demonstrations) + len(interventions)), abs=0.01)


def test_it_warns_of_what_cannot_be():
    with pytest.raises(ValueError, match=r"nobody takes over, so there is no reward: name interventions.teacher"):
        SACConfig(reward="takeovers")
    with pytest.raises(ValueError, match=r"interventions.duration must be at most the 40 replay_steps"):
        replace(TINY, interventions=replace(SOMEBODY, duration=41))


def test_memory_counts_what_was_shown():
    """Learned from: 3 numbers, the action and the reward, two flags. Whoever takes over may see all groups."""
    policy, somebody = SquashedActorCritic(GROUPS, 2, SMALL), replace(SOMEBODY, duration=1)
    config = replace(TINY, replay_steps=9, interventions=somebody)
    assert world_bytes(policy, GROUPS, 2, config) == COPIES * 10 * ((4 * 6 + 2) + (4 * 5 + 192 + 4 * 3 + 2))


# In the trainer
# ---------------------------------------------------------------------------------------------------------------------
def shown(small: Callable[..., TrainConfig], teacher: Path, folder: Path, **changes: object) -> TrainConfig:
    """A run with demonstrations of, and interventions by, another run."""
    if not (folder / "shown").exists():
        record(Options(run=teacher, dataset=folder / "shown", episodes=2))
    somebody = InterventionsConfig(teacher=teacher, when="random", probability=0.2, duration=3, fades_after=2000)
    algorithm = replace(TINY, demonstrations=(folder / "shown",), interventions=somebody, reward="takeovers")
    values = {"policy_name": "squashed", "policy": replace(SMALL, actor_groups=("actor",)), "algorithm_name": "sac"}
    return small(**{**values, "algorithm": algorithm, "num_envs": 16, "episode_steps": 15, **changes})


def run(trainer: Trainer, iterations: int) -> list[dict[str, float]]:
    return [{k: v for k, v in trainer.iterate().items() if k != "seconds"} for _ in range(iterations)]


def test_a_resumed_run_is_the_uninterrupted_run(small: Callable[..., TrainConfig], run_folder: Path, tmp_path: Path):
    """Somebody drives while the checkpoint is written."""
    for name in ("whole", "part"):
        (tmp_path / name).mkdir()
    config = shown(small, run_folder, tmp_path)
    whole = Trainer(config)
    rows = run(whole, 12)
    whole.save(tmp_path / "whole")
    interrupted = Trainer(config)
    run(interrupted, 7)
    assert bool(interrupted.algorithm.intervener.driving.any())  # pyright: ignore
    interrupted.save(tmp_path / "part")
    resumed = Trainer.resume(tmp_path / "part")
    assert run(resumed, 5) == rows[7:]
    resumed.save(tmp_path / "part")
    (first, _), (second, _) = (load_checkpoint(tmp_path / name / CHECKPOINT) for name in ("whole", "part"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert set().union(*rows) | {"seconds"} == set(whole.columns)
    assert {"intervention/rate", "intervention/takeovers", "replay/taught"} <= set(whole.columns)


def test_a_run_whose_demonstrations_have_changed_is_refused(
    small: Callable[..., TrainConfig], run_folder: Path, tmp_path: Path
):
    trainer = Trainer(shown(small, run_folder, tmp_path))
    run(trainer, 1)
    trainer.save(tmp_path)
    (tmp_path / "shown").rename(tmp_path / "before")
    record(Options(run=run_folder, dataset=tmp_path / "shown", episodes=2, seed=1))
    with pytest.raises(ValueError, match=r"shown have changed since the run was begun: bring back those"):
        Trainer.resume(tmp_path)


def test_the_command_learns_from_both(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """From the command line, with the rate of interventions in the run's metrics."""
    record(Options(run=run_folder, dataset=tmp_path / "shown", episodes=2))
    asked = ["--algorithm.demonstrations", "shown", "--algorithm.interventions.probability", "0.3"]
    command(monkeypatch, run_folder, *asked, "--iterations", "3", "--run", "taught")
    rows = read_metrics(tmp_path / "taught")
    assert 0.0 < rows[-1]["intervention/rate"] < 0.9
    assert rows[-1]["replay/taught"] > rows[0]["replay/taught"] > 0


def test_the_command_stops_where_somebody_never_lets_go(run_folder: Path, monkeypatch: pytest.MonkeyPatch):
    asked = ["--algorithm.interventions.probability", "1", "--algorithm.interventions.duration", "500"]
    with pytest.raises(SystemExit, match="isthmus-train: the intervener never lets go: of the last 10"):
        command(monkeypatch, run_folder, *asked, "--iterations", "50", "--run", "held")


def command(monkeypatch: pytest.MonkeyPatch, teacher: Path, *arguments: str) -> None:
    """isthmus-train with SAC on the quadrotor and an intervener, while actions are still random."""
    small = ["--num-envs", "64", "--algorithm.warm-up", "100000", "--policy.actor", "8", "--policy.critic", "8"]
    somebody = ["--algorithm.interventions.teacher", str(teacher), "--algorithm.interventions.when", "random"]
    line = ["isthmus-train", "quadrotor", "--algorithm", "sac", *small, *somebody, *arguments]
    monkeypatch.setattr("sys.argv", line)
    main()
