"""A world that diverges while training: reset, counted, written for replay; too many of them end the run."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from isthmus_policies.training import diverged, train
from isthmus_policies.training.checkpoint import CHECKPOINT, CheckpointError
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.diverged import MOST_FILES, DivergedError, replay
from isthmus_policies.training.logs import read_metrics
from isthmus_policies.training.trainer import Trainer
from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor
from isthmus_sim.engines.mujoco_engine import MujocoEngine

Small = Callable[..., TrainConfig]


def spoil(trainer: Trainer, world: int, speed: float = 1e7) -> None:
    """Throw a world's robot faster than any robot goes."""
    engine = trainer.env.engine
    if isinstance(engine, MujocoEngine):
        engine.qvel[world, 8] = speed
    else:
        assert isinstance(engine, AnalyticQuadrotor)
        engine.state[0, world] = float("nan")


def dumps(folder: Path) -> list[Path]:
    return sorted((folder / "diverged").glob("*"))


def test_training_goes_on_and_the_world_can_be_stepped_again(small: Small, tmp_path: Path):
    trainer = Trainer(small("quadruped", num_envs=8, max_diverged_share=0.2))
    trainer.iterate()
    trainer.dump_diverged(tmp_path)
    assert dumps(tmp_path) == []
    spoil(trainer, 5)
    row = trainer.iterate()
    trainer.dump_diverged(tmp_path)
    assert row["episode/diverged"] == 1
    assert trainer.iterate()["episode/diverged"] == 0
    assert all(torch.isfinite(value).all() for value in trainer.policy.state_dict().values())
    (path,) = dumps(tmp_path)
    assert path.name.startswith("iteration000001-world00005-step")
    failed, _ = replay(path)
    assert failed


def test_the_replay_is_the_step_that_was_bit_for_bit(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A robot on the ground, judged to have diverged in the tenth step: no state is not a number here."""
    after: list[torch.Tensor] = []

    def tenth_fails(engine: MujocoEngine) -> torch.Tensor:
        after.append(torch.cat((engine.qpos, engine.qvel), dim=-1).clone())
        failed = torch.zeros(engine.num_envs, dtype=torch.bool)
        failed[3] = len(after) == 10
        return failed

    with monkeypatch.context() as patch:
        patch.setattr(MujocoEngine, "failed", tenth_fails)
        trainer = Trainer(small("quadruped", num_envs=8, max_diverged_share=1.0))
        trainer.iterate()
    trainer.dump_diverged(tmp_path)
    failed, state = replay(dumps(tmp_path)[0])
    assert not failed
    expected = after[9][3].float()
    assert torch.equal(state["position"][0], expected[:3])
    assert torch.equal(state["linear_velocity"][0], expected[19:22])
    assert float(state["position"][0, 2]) < 0.4, "it stands on the ground"


def test_of_many_worlds_the_first_are_written(small: Small, tmp_path: Path):
    trainer = Trainer(small(max_diverged_share=1.0))
    for first in (0, 16):
        for world in range(first, first + 15):
            spoil(trainer, world)
        trainer.iterate()
        trainer.dump_diverged(tmp_path)
    assert len(dumps(tmp_path)) == MOST_FILES
    assert all(replay(path)[0] for path in dumps(tmp_path)[::9])


def test_more_than_the_share_stops_the_run_and_says_where_they_are(small: Small, tmp_path: Path):
    trainer = Trainer(small(max_diverged_share=0.1))
    for world in (1, 2, 3):
        spoil(trainer, world)
    trainer.iterate()
    trainer.dump_diverged(tmp_path)  # 3 of 32 are not more than 3.2
    for world in (1, 2, 3, 4):
        spoil(trainer, world)
    trainer.iterate()
    with pytest.raises(
        DivergedError, match=r"4 of 32 worlds diverged in iteration 1, more than the share of 0\.1"
    ) as e:
        trainer.dump_diverged(tmp_path)
    path = Path(str(e.value).split()[-1])
    assert path.is_file()
    assert replay(path)[0]


def test_the_command_ends_with_the_dumps_path(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    """A quarter of the worlds diverges in the third iteration; what was logged and saved until then is there."""
    steps = [0]

    def failed(engine: AnalyticQuadrotor) -> torch.Tensor:
        steps[0] += 1
        return (torch.arange(engine.num_envs) % 4 == 0) & (steps[0] == 20)

    monkeypatch.setattr(AnalyticQuadrotor, "failed", failed)
    monkeypatch.setattr(train, "use_thread_budget", lambda: None)
    small = "--num-envs 32 --iterations 9 --checkpoint-every 1 --algorithm.num-steps 8 --algorithm.epochs 1"
    small += " --policy.actor 8 --policy.critic 8"
    monkeypatch.setattr(sys, "argv", ["isthmus-train", "quadrotor", *small.split(), "--run", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as end:
        train.main()
    message = str(end.value.code)
    assert message.startswith("isthmus-train: 8 of 32 worlds diverged in iteration 2, more than the share of 0.01 ")
    assert Path(message.split()[-1]) in dumps(tmp_path / "run")
    assert len(read_metrics(tmp_path / "run")) == 3
    assert Trainer.resume(tmp_path / "run").iteration == 2

    monkeypatch.undo()
    monkeypatch.setattr(sys, "argv", ["diverged", message.split()[-1]])
    capsys.readouterr()
    diverged.main()
    assert "does not diverge\n  position: 0 not a number" in capsys.readouterr().out


def test_other_files_are_not_replayed(run_folder: Path, tmp_path: Path):
    shutil.copy(run_folder / CHECKPOINT, tmp_path / "dump.safetensors")
    with pytest.raises(CheckpointError, match=r"dump\.safetensors is no .*expected 'isthmus\.diverged\.2'"):
        replay(tmp_path / "dump.safetensors")
    with pytest.raises(FileNotFoundError):
        replay(tmp_path / "nothing.safetensors")


def test_an_engine_that_cannot_keep_them_still_counts_them(small: Small, tmp_path: Path):
    trainer = Trainer(small(max_diverged_share=0.1))
    trainer.env._keep = False  # as for an engine without snapshots
    for world in (1, 2, 3, 4):
        spoil(trainer, world)
    assert trainer.iterate()["episode/diverged"] == 4
    with pytest.raises(DivergedError, match=r"4 of 32 worlds diverged in iteration 0"):
        trainer.dump_diverged(tmp_path)
    assert dumps(tmp_path) == []
