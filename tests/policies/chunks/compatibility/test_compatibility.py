"""Whether new demonstrations fit: scores worked out by hand, trained ensembles, weights that training keeps to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from point_demonstrations import FPS, write_demonstrations
from torch import Tensor

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.training.normalizer import Normalizer
from isthmus_policies.chunks.chunk_policy import ChunkPolicy, ChunkSpec, Tensors
from isthmus_policies.chunks.compatibility.command import main
from isthmus_policies.chunks.compatibility.score import Compatibility, Scored
from isthmus_policies.chunks.denoisers.mlp import MlpConfig
from isthmus_policies.chunks.training.config import AnyConfig, Learning, default_config
from isthmus_policies.chunks.training.trainer import ChunkTrainer
from isthmus_policies.demonstrate.review import Reviewer

STATE = "observation.state"
SPEC = ChunkSpec(fps=FPS, columns={STATE: 1}, action_size=1, observed=1, horizon=1)


class Fixed(ChunkPolicy):
    """Always the same action, and `draws` as told."""

    def __init__(self, action: float, draws: int = 0) -> None:
        names = (STATE, "action")
        nothing, ones = ({name: torch.full((1,), value) for name in names} for value in (0.0, 1.0))
        super().__init__(SPEC, Normalizer(dict.fromkeys(names, "mean_std"), nothing, ones))
        self._action, self.draws = action, draws

    def embed(self, observations: Tensors, goal: Tensors | None = None) -> Tensor:
        raise NotImplementedError

    def loss(self, batch: Tensors, generator: torch.Generator) -> Tensor:
        raise NotImplementedError

    def sample(self, observations: Tensors, n: int | None = None, **_: Any) -> Tensor:
        raise NotImplementedError

    def scaled_chunks(self, observations: Tensors) -> Tensor:
        return torch.full((len(observations[STATE]), 1, 1), self._action)


def made(*policies: Any, **limits: float) -> Compatibility:
    return Compatibility(policies, **limits)


def demonstrated(*actions: float) -> dict[str, np.ndarray]:
    return {STATE: np.zeros((len(actions), 1), np.float32), "action": np.array(actions, np.float32)[:, None]}


def test_scores_by_hand():
    """The mean is 0.1: errors of 0, 0.01, 0.16 beside five times the usual 0.008 are 1, 0.75 and 0."""
    scored = made(Fixed(0.0), Fixed(0.2), new=0.15, usual=0.008, least=0.5).score(
        demonstrated(0.1, 0.2, 0.5, 0.5, 0.1, -0.3)
    )
    np.testing.assert_allclose(scored.steps, [1.0, 0.75, 0.0, 0.0, 1.0, 0.0], atol=1e-6)
    assert scored.score == pytest.approx(2.75 / 6), "all of it is shorter than a second"
    assert scored.doubtful() == [(2, 3), (5, 5)]
    assert not scored.new.any()


def test_what_is_new_is_welcome():
    """They differ by 0.1 in both directions from their mean, which is more than 0.09."""
    scored = made(Fixed(0.0), Fixed(0.2), new=0.09, usual=0.04, least=0.5).score(demonstrated(5.0, -5.0))
    assert scored.new.all()
    assert scored.score == 1.0
    assert scored.doubtful() == []


def test_segments_and_the_worst_second():
    scored = Scored(steps=np.array([0.1, 0.9, 0.2, 0.2, 0.9]), new=np.zeros(5, bool), window=2)
    assert scored.doubtful() == [(0, 0), (2, 3)]
    assert scored.score == pytest.approx(0.2)


def test_what_cannot_score_is_refused():
    for policies, message in (
        ([Fixed(0.0)], "at least 2 policies, not 1"),
        ([Fixed(0.0), Fixed(0.0, draws=1)], "draws its actions"),
    ):
        with pytest.raises(ValueError, match=message):
            made(*policies, new=1.0, usual=1.0, least=0.0)


def config(*datasets: Path, seed: int = 0, **changes: Any) -> AnyConfig:
    learning = Learning(steps=300, batch_size=64, rate=2e-3, warmup=10)
    made = default_config(
        datasets, "cloning", horizon=4, observed=1, validation=0.25, torch_threads=1, learning=learning, seed=seed
    )
    return replace(made, denoiser=MlpConfig(width=32, depth=2), **changes)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demonstrations(tmp_path_factory.mktemp("base") / "data", episodes=24)


@pytest.fixture(scope="module")
def runs(base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folders = []
    for seed in (1, 2, 3):
        trainer, folder = ChunkTrainer(config(base, seed=seed)), tmp_path_factory.mktemp("runs") / f"run-{seed}"
        for _ in range(300):
            trainer.step()
        trainer.save(folder)
        folders.append(str(folder))
    return folders


@pytest.fixture
def new(tmp_path: Path, base: Path) -> Path:
    """As before; as before, but the action goes away from where the target is; and from far away."""
    reader = DatasetReader(base)
    shown = [reader.columns(i, (STATE, "action")) for i in range(3)]
    x, target = shown[1][STATE][:, :1], shown[1][STATE][:, 1:]
    shown[1]["action"] = x - 0.8 * (target - x) - 0.5 * np.sign(target)
    shown[2] = {STATE: shown[2][STATE] + 6.0, "action": -shown[2]["action"]}
    features = {name: reader.info.features[name] for name in (STATE, "action")}
    with DatasetWriter.create(tmp_path / "new", fps=FPS, features=features, robot_type="point") as writer:
        for columns in shown:
            writer.append(Episode(columns=columns, task="go there"))
    return tmp_path / "new"


def test_the_command_keeps_what_fits_and_what_is_new(
    new: Path, base: Path, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    main([str(new), "--runs", *runs, "--out", str(tmp_path / "weights.json")])
    weights = json.loads((tmp_path / "weights.json").read_text())["weights"]
    assert weights == [[1.0] * 24, [1.0, 0.0, 1.0]]
    output = capsys.readouterr().out
    assert "2 of 3 score at least" in output
    assert f"isthmus-train-chunks {base} {new} --weights" in output


def test_training_draws_no_window_of_an_episode_without_weight(new: Path, base: Path, tmp_path: Path):
    path = tmp_path / "weights.json"
    path.write_text(json.dumps({"weights": [[1.0] * 24, [1.0, 0.0, 1.0]]}))
    trainer = ChunkTrainer(config(base, new, weights=path, validation=0.3))
    table, drawn = trainer.data.training.table, np.concatenate(list(trainer._sampler))[:, 0]
    episodes = {
        (source, trainer.data.training.sources[source].rows[episode].index)
        for source, episode in zip(table.source[drawn].tolist(), table.episode[drawn].tolist(), strict=True)
    }
    assert {index for source, index in episodes if source == 1} <= {0, 2}
    assert len({index for source, index in episodes if source == 0}) > 10


def test_weights_of_other_datasets_are_refused(base: Path, tmp_path: Path):
    path = tmp_path / "weights.json"
    path.write_text(json.dumps({"weights": [[1.0] * 23]}))
    with pytest.raises(DatasetError, match=r"weighs datasets of \[23\] episodes; those to learn from have \[24\]"):
        ChunkTrainer(config(base, weights=path))
    path.write_text("{}")
    with pytest.raises(DatasetError, match="no file of weights, as isthmus-compatibility writes it"):
        ChunkTrainer(config(base, weights=path))


def test_the_page_says_what_is_doubtful(new: Path, runs: list[str]):
    reviewer = Reviewer(tuple(map(Path, runs)), new)
    good, bad = reviewer.review(0), reviewer.review(1)
    assert good.compatible
    assert good.words.endswith(", kept")
    assert not bad.compatible
    assert "doubtful from 0.0 to" in bad.words
    assert bad.words.endswith("show it once more, from the same start")


def test_runs_of_other_demonstrations_are_no_ensemble(base: Path, runs: list[str], new: Path, tmp_path: Path):
    other = write_demonstrations(tmp_path / "other", episodes=24)
    trainer = ChunkTrainer(config(other, seed=9))
    trainer.save(tmp_path / "run")
    with pytest.raises(SystemExit, match="not learned from the same datasets"):
        main([str(new), "--runs", runs[0], str(tmp_path / "run")])
