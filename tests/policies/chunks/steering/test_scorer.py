"""A scorer tells good chunks from bad ones where it is known which are, and a policy that heeds it does better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.training.normalizer import Mode, Normalizer
from isthmus_deploy.chunk_executor import ExecutorConfig, Strategy
from isthmus_policies.chunks.chunk_policy import ChunkPolicy, ChunkSpec, Tensors, expanded
from isthmus_policies.chunks.encoder import EncoderConfig, ImageConfig
from isthmus_policies.chunks.runner import Execution, network_runner
from isthmus_policies.chunks.steering.best_of import best_of, mode_of, random_of
from isthmus_policies.chunks.steering.iql import IqlConfig, IqlScorer
from isthmus_policies.chunks.steering.training.command import Options, main, train
from isthmus_policies.chunks.steering.training.config import ScorerConfig
from isthmus_policies.chunks.steering.training.labelled import LabelledChunks
from isthmus_policies.chunks.steering.training.run import FILE, load_scorer
from isthmus_policies.chunks.steering.training.trainer import ScorerTrainer
from isthmus_policies.chunks.training.config import default_config
from isthmus_policies.chunks.training.data import make_spec
from isthmus_policies.chunks.training.run import make_policy
from isthmus_policies.training.checkpoint import CheckpointError
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.tasks import make_task

STEPS, SPEED = 15, 0.1
SPEC = ChunkSpec(fps=10, columns={"observation.state": 1}, action_size=1, observed=2, horizon=4)


def write_walks(root: Path, *, episodes: int = 16, told: str = "facts", succeed: bool | None = None) -> Path:
    """A point that walks by SPEED a step and succeeds from 0.5 on. Every second one goes there, and the others away
    from it. `told`: where the outcome stands: "facts", "column" or "nowhere"; `succeed`: which alone are kept."""
    features = {name: Feature(dtype="float32", shape=(1,), names=("x",)) for name in ("observation.state", "action")}
    if told == "column":
        features["next.success"] = Feature(dtype="bool", shape=(1,))
    random = np.random.default_rng(0)
    with DatasetWriter.create(root, fps=10, features=features, robot_type="point") as writer:
        for number in range(episodes):
            good = number % 2 == 0
            if succeed in (None, good):
                writer.append(_walk(random, good, told))
    return root


def _walk(random: np.random.Generator, good: bool, told: str) -> Episode:
    steps = np.full(STEPS, SPEED if good else -SPEED, np.float64) + 0.02 * random.standard_normal(STEPS)
    x = random.uniform(-0.5, -0.2) + np.concatenate(([0.0], np.cumsum(steps)))
    if good:
        steps = steps[: int(np.argmax(x >= 0.5))]
    columns = {"observation.state": x[: len(steps), None].astype(np.float32)}
    columns["action"] = steps[:, None].astype(np.float32)
    if told == "column":
        columns["next.success"] = np.zeros((len(steps), 1), bool)
        columns["next.success"][-1] = good
    return Episode(columns=columns, videos={}, task="go right", facts={"success": good} if told == "facts" else {})


def config(*roots: Path, **changes: object) -> ScorerConfig:
    made = ScorerConfig(
        datasets=roots, execute=4, reward_steps=1, steps=200, batch_size=128, rate=2e-3, torch_threads=1,
        iql=IqlConfig(width=32, target_rate=0.02),
    )  # fmt: skip
    return replace(made, **changes)


def trained(made: ScorerConfig) -> ScorerTrainer:
    trainer = ScorerTrainer(made)
    for _ in range(made.steps):
        trainer.step()
    return trainer


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walks(tmp_path_factory.mktemp("walks") / "walks")


@pytest.fixture(scope="module")
def trainer(walks: Path) -> ScorerTrainer:
    return trained(config(walks))


def states(*x: float) -> dict[str, Tensor]:
    return {"observation.state": torch.tensor(x).reshape(-1, 1, 1).expand(-1, 2, -1)}


class EitherWay(ChunkPolicy):
    """Goes to one side or the other, as the noise has it, and never elsewhere."""

    def embed(self, observations: Tensors, goal: Tensors | None = None) -> Tensor:
        return self.normalizer(observations)["observation.state"].flatten(1)

    def loss(self, batch: Tensors, generator: torch.Generator) -> Tensor:
        raise NotImplementedError

    def sample(
        self,
        observations: Tensors,
        n: int | None = None,
        *,
        noise: Tensor | None = None,
        init: Tensor | None = None,
        steps: int | None = None,
        goal: Tensors | None = None,
        guidance: float = 1.0,
    ) -> Tensor:
        m = len(expanded(observations, n)["observation.state"])
        drawn = self.noise(m) if noise is None else noise
        assert drawn.shape == (m, 1, self.spec.horizon, 1)
        assert init is None or init.shape == (m, self.spec.horizon, 1)
        return SPEED * drawn[:, 0, :1].sign().expand(-1, self.spec.horizon, -1) + 0.01 * drawn[:, 0]


def either_way(horizon: int = 8) -> EitherWay:
    sizes = {"observation.state": 1, "action": 1}
    zeros, ones = ({name: torch.full((1,), value) for name in sizes} for value in (0.0, 1.0))
    return EitherWay(replace(SPEC, horizon=horizon), Normalizer(dict.fromkeys(sizes, "min_max"), zeros, ones))


def test_what_leads_to_success_scores_higher(trainer: ScorerTrainer):
    x = states(-0.4, -0.2, 0.0, 0.2)
    right, left = (trainer.scorer(x, torch.full((4, 4, 1), side * SPEED)) for side in (1.0, -1.0))
    assert right.shape == (4,)
    assert (right > left + 0.3).all()
    assert right[-1] > right[0] + 0.02  # what is nearer to the reward is worth more


def test_only_what_is_executed_is_judged(trainer: ScorerTrainer):
    chunks = torch.full((1, 8, 1), SPEED)
    other = chunks.clone()
    other[:, 4:] = -SPEED
    assert torch.equal(trainer.scorer(states(0.0), chunks), trainer.scorer(states(0.0), other))


def test_the_best_of_several_goes_right_and_any_of_them_either_way(trainer: ScorerTrainer):
    policy, x = either_way(), states(*[0.0] * 200)
    share = {}
    for name, chosen in {"best": best_of(policy, 10, trainer.scorer), "random": random_of(policy, 10)}.items():
        noise = chosen.noise(200, torch.Generator().manual_seed(0))
        share[name] = float((chosen.sample(x, noise=noise).mean(dim=(1, 2)) > 0.0).float().mean())
    assert share["best"] > 0.99
    assert 0.35 < share["random"] < 0.65


def test_the_mode_is_where_most_are():
    chosen = mode_of(either_way(), 5)
    noise = torch.ones(1, 5, 8, 1)
    noise[:, 1:3] = -1.0
    assert (chosen.sample(states(0.0), noise=noise) > 0.0).all()
    assert (chosen.sample(states(0.0), noise=-noise) < 0.0).all()


def test_each_robot_has_its_own_chunks_and_a_chunk_to_begin_near_to():
    chosen = best_of(
        either_way(), 3, lambda observations, chunks: observations["observation.state"][:, -1, 0] * chunks[:, 0, 0]
    )
    noise = torch.randn(6, 3, 8, 1, generator=torch.Generator().manual_seed(0))
    noise[:, :2, 0] = torch.tensor([1.0, -1.0]).reshape(1, 2, 1)
    found = chosen.sample(states(1, -1, 1, -1, 1, -1), noise=noise, init=torch.zeros(6, 8, 1))
    assert found.shape == (6, 8, 1)
    assert torch.equal(found[:, 0, 0].sign(), torch.tensor([1.0, -1.0]).repeat(3))
    assert chosen.sample(states(1.0), 5).shape == (5, 8, 1)
    assert torch.equal(chosen.embed(states(1.0)), either_way().embed(states(1.0)))


@pytest.mark.parametrize("strategy", ["receding", "warm_start"])
def test_the_runner_takes_it_as_any_policy(strategy: Strategy):
    task = make_task("push_t")
    env = Env(task, make_engine(task.scene, 3, task.engines[0]), 0)
    spec = ChunkSpec(fps=10, columns={"observation.state": 5}, action_size=2, observed=2, horizon=4)
    modes: dict[str, Mode] = {"observation.state": "min_max", "action": "min_max"}
    sizes = {"observation.state": torch.full((5,), 256.0), "action": torch.full((2,), 256.0)}
    policy = make_policy(default_config((Path("none"),), horizon=4), spec, Normalizer(modes, sizes, sizes))
    judged: list[torch.Size] = []

    def scorer(observations: Tensors, chunks: Tensor) -> Tensor:
        judged.append(chunks.shape)
        return chunks[:, 0, 0]

    execution = Execution(executor=ExecutorConfig(horizon=4, execute=2, strategy=strategy))
    runner = network_runner(best_of(policy, 5, scorer), env, execution)
    for _ in range(4):
        step = runner.step(env)
    env.close()
    assert torch.isfinite(step.commands["target_position"]).all()
    assert judged == [(15, 4, 2)] * 2


def test_rewards_are_of_the_last_steps_of_successes_and_the_last_chunk_is_the_end(walks: Path):
    reader = DatasetReader(walks)
    spec = make_spec(config(walks), [reader])
    data = LabelledChunks([reader], spec, reward_steps=3, discount=0.5)
    good, bad = reader.episodes[0], reader.episodes[1]
    windows = np.arange(good.length + bad.length)
    found = data.transitions(windows, data.windows.batch(windows, windows))
    length = good.length
    torch.testing.assert_close(found.reward[length - 6 : length], torch.tensor([0.125, 0.375, 0.875, 1.75, 1.5, 1.0]))
    assert not found.reward[: length - 6].any()
    assert not found.reward[length:].any()
    ends = torch.zeros(len(windows))
    ends[: length - 4] = ends[length:-4] = 0.5**4
    torch.testing.assert_close(found.kept, ends)
    torch.testing.assert_close(found.after["observation.state"][0], found.before["observation.state"][4])


def test_the_outcome_may_stand_in_a_column_and_episodes_without_one_are_left_out(walks: Path, tmp_path: Path):
    by_column = write_walks(tmp_path / "column", told="column")
    untold = write_walks(tmp_path / "untold", told="nowhere")
    trainers = [ScorerTrainer(config(*roots)) for roots in ((walks,), (by_column,), (untold, walks))]
    assert len({len(each.data.windows) for each in trainers}) == 1
    assert len({each.step() for each in trainers}) == 1


@pytest.mark.parametrize(
    ("given", "named"),
    [({"told": "nowhere"}, "next.success"), ({"succeed": True}, "failures"), ({"succeed": False}, "successes")],
)
def test_demonstrations_that_tell_nothing_apart_are_refused(tmp_path: Path, given: dict, named: str):
    with pytest.raises(DatasetError, match=named):
        ScorerTrainer(config(write_walks(tmp_path / "walks", episodes=4, **given)))


def test_what_it_has_not_learned_on_is_refused_by_name(trainer: ScorerTrainer):
    chunk = torch.zeros(1, 4, 1)
    with pytest.raises(ValueError, match=r"observation\.state"):
        trainer.scorer({"observation.elsewhere": torch.zeros(1, 2, 1)}, chunk)
    with pytest.raises(ValueError, match=r"observation\.state"):
        trainer.scorer({"observation.state": torch.zeros(1, 3, 1)}, chunk)
    with pytest.raises(ValueError, match="chunks"):
        trainer.scorer(states(0.0), torch.zeros(1, 3, 1))
    with pytest.raises(ValueError, match="at least 1"):
        random_of(either_way(), 0)
    policy = either_way()
    policy.spec = replace(policy.spec, goal=("observation.state",))
    with pytest.raises(ValueError, match="goals"):
        best_of(policy, 2, trainer.scorer)
    with pytest.raises(ValueError, match="expectile"):
        IqlConfig(expectile=1.0)
    with pytest.raises(ValueError, match="execute"):
        config(Path("walks"), execute=0)


def test_a_run_repeats_bit_for_bit_and_its_file_gives_the_same_scores(walks: Path, tmp_path: Path):
    made = config(walks, steps=20)
    options = [Options(config=made, run=tmp_path / name) for name in ("a", "b")]
    for each in options:
        train(each, Console(quiet=True))
    runs = [load_scorer(each.run) for each in options]
    chunks, x = torch.randn(5, 4, 1), states(-1.0, -0.5, 0.0, 0.5, 1.0)
    again = trained(runs[0].config).scorer
    assert torch.equal(runs[0].scorer(x, chunks), runs[1].scorer(x, chunks))
    assert torch.equal(runs[0].scorer(x, chunks), again(x, chunks))
    assert runs[0].facts["steps"] == 20
    with pytest.raises(ValueError, match="not empty"):
        train(options[0], Console(quiet=True))


@pytest.mark.parametrize(
    ("told", "named"), [((), "dataset"), (("nowhere",), "nowhere"), (("nowhere", "--execute", "0"), "execute")]
)
def test_the_command_says_what_is_wrong(
    told: tuple[str, ...], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.argv", ["isthmus-train-scorer", *told, "--run", str(tmp_path / "run")])
    with pytest.raises(SystemExit, match=named):
        main()


def test_images_are_judged_too():
    spec = ChunkSpec(fps=10, columns={}, cameras={"top": (32, 32)}, action_size=1, observed=2, horizon=2)
    image = ImageConfig(width=8, blocks=(1, 1), keypoints=4)
    config = IqlConfig(width=16, encoder=EncoderConfig(image=image))
    scorer = IqlScorer(
        config, spec, Normalizer({"action": "min_max"}, {"action": torch.zeros(1)}, {"action": torch.ones(1)})
    )
    images = torch.randint(0, 256, (3, 2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    chunks = torch.zeros(3, 2, 1)
    assert scorer({"top": images}, chunks).shape == (3,)
    assert not torch.equal(scorer({"top": images}, chunks), scorer({"top": 255 - images}, chunks))
    with pytest.raises(ValueError, match="top"):
        scorer({"top": images[..., :16]}, chunks)


def test_files_that_are_no_scorer_are_refused(trainer: ScorerTrainer, tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        load_scorer(tmp_path)
    trainer.save(tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError):
        load_scorer(tmp_path)
