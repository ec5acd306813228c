"""Students do in one evaluation what their teacher does in several."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from point_demonstrations import write_demonstrations

from isthmus_policies.chunks.denoisers.mlp import MlpConfig
from isthmus_policies.chunks.distill import Options, student_config
from isthmus_policies.chunks.methods.few_step import FewStep, FewStepConfig
from isthmus_policies.chunks.training.config import Learning, default_config
from isthmus_policies.chunks.training.run import load_chunk_run
from isthmus_policies.chunks.training.trainer import ChunkTrainer

LEARNING = Learning(steps=40, batch_size=64, warmup=4, rate=2e-3)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a flow."""
    folder = tmp_path_factory.mktemp("teacher")
    data = write_demonstrations(folder / "data", episodes=8)
    config = default_config((data,), "flow", "mlp", horizon=8, validation=0.25, torch_threads=1, learning=LEARNING)
    trainer = ChunkTrainer(replace(config, denoiser=MlpConfig(width=64, depth=2)))
    for _ in range(LEARNING.steps):
        trainer.step()
    trainer.save(folder / "run")
    return folder / "run"


def test_a_student_begins_with_its_teachers_weights_where_they_fit(teacher: Path):
    its = load_chunk_run(teacher).policy
    same = ChunkTrainer(student_config(Options(teacher=teacher, learning=LEARNING))).policy
    smaller = ChunkTrainer(student_config(Options(teacher=teacher, width=16, learning=LEARNING))).policy
    assert all(torch.equal(same.state_dict()[name], value) for name, value in its.state_dict().items())
    assert sum(p.numel() for p in smaller.parameters()) < 0.5 * sum(p.numel() for p in its.parameters())


def test_a_run_goes_on_bit_for_bit(teacher: Path, tmp_path: Path):
    config = student_config(Options(teacher=teacher, learning=replace(LEARNING, steps=20)))
    whole, stopped = ChunkTrainer(config), ChunkTrainer(config)
    losses = [whole.step() for _ in range(6)]
    for _ in range(3):
        stopped.step()
    stopped.save(tmp_path)
    gone_on = ChunkTrainer.resume(tmp_path)
    assert [gone_on.step() for _ in range(3)] == losses[3:]


def test_a_student_comes_to_do_what_its_teacher_does(teacher: Path):
    """Afresh it is nearer to it than with the weights that it begins with. Near to a chunk these are right already, and
    learning what to make of noise alone does not spoil them."""
    method = FewStepConfig(way="regression", steps=1)
    trainer = ChunkTrainer(
        student_config(Options(teacher=teacher, method=method, learning=replace(LEARNING, steps=200)))
    )
    its, student = load_chunk_run(teacher).policy, trainer.policy
    batch = trainer.data.validation.batch(np.arange(32), np.arange(32))
    noise = its.noise(32, torch.Generator().manual_seed(1))

    def apart(init: torch.Tensor | None) -> float:
        with torch.no_grad():
            chunks = [each.sample(batch, noise=noise, init=init) for each in (student, its)]
        return float((chunks[0] - chunks[1]).square().mean())

    before = apart(None)
    for _ in range(200):
        trainer.step()
    assert apart(None) < 0.5 * before
    assert apart(batch["action"]) < 0.05 * before


def test_a_student_by_levels_learns_at_no_others(teacher: Path):
    """Where it is asked its loss falls; what it would say between, which its teacher knew, is left to itself."""
    trainer = ChunkTrainer(student_config(Options(teacher=teacher, learning=replace(LEARNING, steps=100))))
    student, config = trainer.policy, FewStepConfig()
    assert isinstance(student, FewStep)
    asked: list[torch.Tensor] = []
    student.denoiser.register_forward_pre_hook(lambda _, inputs: asked.append(inputs[1]))
    losses = [trainer.step() for _ in range(100)]
    assert sorted(set(torch.cat(asked).tolist())) == pytest.approx([config.near, config.middle, 1.0])
    assert np.mean(losses[-20:]) < np.mean(losses[:20])


def test_only_a_flow_is_learned_from_by_its_levels(tmp_path: Path):
    data = write_demonstrations(tmp_path / "data", episodes=8)
    config = default_config((data,), "diffusion", "mlp", horizon=8, validation=0.25, torch_threads=1, learning=LEARNING)
    trainer = ChunkTrainer(replace(config, denoiser=MlpConfig(width=16, depth=1)))
    trainer.step()
    trainer.save(tmp_path / "run")
    with pytest.raises(ValueError, match=r"levels needs a flow for a teacher, not Diffusion.*--method.way regression"):
        ChunkTrainer(student_config(Options(teacher=tmp_path / "run", learning=LEARNING)))


def test_teachers_that_do_not_fit_are_refused(teacher: Path, tmp_path: Path):
    config = student_config(Options(teacher=teacher, learning=LEARNING))
    with pytest.raises(ValueError, match="teacher"):
        ChunkTrainer(replace(config, method=FewStepConfig()))
    with pytest.raises(ValueError, match="reads and gives"):
        ChunkTrainer(replace(config, horizon=4))
    with pytest.raises(ValueError, match="scaling"):
        ChunkTrainer(replace(config, seed=1))  # other episodes are kept back
    with pytest.raises(ValueError, match="width"):
        student_config(Options(teacher=teacher, denoiser="unet", width=8))
