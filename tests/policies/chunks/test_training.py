"""Training runs of chunk policies: they repeat, go on as if never stopped, and refuse what cannot be learned from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from point_demonstrations import FPS, write_demonstrations

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_policies.chunks.denoisers.mlp import MlpConfig
from isthmus_policies.chunks.runner import network_runner
from isthmus_policies.chunks.training import command
from isthmus_policies.chunks.training.config import AnyConfig, Learning, default_config
from isthmus_policies.chunks.training.roll_outs import usual_execution
from isthmus_policies.chunks.training.run import load_chunk_run, policy_files
from isthmus_policies.chunks.training.trainer import ChunkTrainer, NotANumber
from isthmus_policies.training.checkpoint import CHECKPOINT, CheckpointError
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.tasks import make_task

CAMERA = "observation.images.scene"


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demonstrations(tmp_path_factory.mktemp("demonstrations") / "point")


def config(*datasets: Path, method: str = "flow", **changes: object) -> AnyConfig:
    learning = Learning(steps=40, batch_size=32, warmup=4, rate=2e-3)
    made = default_config(datasets, method, "mlp", horizon=8, validation=0.25, torch_threads=1, learning=learning)
    return replace(made, denoiser=MlpConfig(width=32, depth=2), **changes)


def weights(trainer: ChunkTrainer) -> torch.Tensor:
    return torch.cat([value.flatten() for value in trainer.policy.state_dict().values()])


def run(trainer: ChunkTrainer, steps: int) -> list[float]:
    return [trainer.step() for _ in range(steps)]


def test_loss_falls_and_the_policy_goes_where_it_was_shown(tmp_path: Path):
    demonstrations = write_demonstrations(tmp_path / "data", episodes=32)
    trainer = ChunkTrainer(
        config(demonstrations, method="cloning", learning=Learning(steps=400, batch_size=64, rate=2e-3))
    )
    losses = run(trainer, 400)
    assert sum(losses[-20:]) < 0.1 * sum(losses[:20])
    assert trainer.validate() < 0.1
    trainer.save(tmp_path / "run")
    policy = load_chunk_run(tmp_path / "run").policy
    state = torch.tensor([[[0.8, -0.5], [0.54, -0.5]]])  # on its way to -0.5, a fifth of what is left a step
    with torch.no_grad():
        chunk = policy.sample({"observation.state": state})[0, :, 0]
    torch.testing.assert_close(chunk, -0.5 + 1.04 * 0.8 ** torch.arange(1, 9), rtol=0, atol=0.15)


@pytest.mark.parametrize("method", ["flow", "act"])
def test_a_run_goes_on_bit_for_bit(demonstrations: Path, tmp_path: Path, method: str):
    whole = ChunkTrainer(config(demonstrations, method=method))
    run(whole, 25)
    stopped = ChunkTrainer(config(demonstrations, method=method))
    run(stopped, 13)  # in the middle of an epoch
    stopped.save(tmp_path)
    gone_on = ChunkTrainer.resume(tmp_path)
    run(gone_on, 12)
    assert torch.equal(weights(whole), weights(gone_on))
    assert whole.validate() == gone_on.validate()


def test_a_run_may_begin_with_another_ones_weights_and_scaling(demonstrations: Path, tmp_path: Path):
    first = ChunkTrainer(config(demonstrations))
    run(first, 3)
    first.save(tmp_path / "first")
    policy = load_chunk_run(tmp_path / "first").policy
    other = write_demonstrations(tmp_path / "wider", episodes=12)
    second = ChunkTrainer(config(other))
    second.begin_with(tmp_path / "first")
    assert all(torch.equal(second.policy.state_dict()[name], value) for name, value in policy.state_dict().items())
    with second.averaged():
        assert torch.equal(weights(second), torch.cat([value.flatten() for value in policy.state_dict().values()]))
    for unlike, why in ((config(other, horizon=4), "reads and gives"), (config(other, method="edm"), "another method")):
        with pytest.raises(ValueError, match=why):
            ChunkTrainer(unlike).begin_with(tmp_path / "first")


def test_going_on_changes_only_what_may_change(demonstrations: Path, tmp_path: Path):
    begun = config(demonstrations)
    ChunkTrainer(begun).save(tmp_path)
    assert ChunkTrainer.resume(tmp_path, replace(begun, keep=2)).config.keep == 2
    with pytest.raises(ValueError, match="observed"):
        ChunkTrainer.resume(tmp_path, replace(begun, observed=3))


def test_the_command_line_of_a_run_that_goes_on_changes_what_may_change_and_refuses_the_rest(
    demonstrations: Path, tmp_path: Path
):
    ChunkTrainer(config(demonstrations)).save(tmp_path)
    again = ["--run", str(tmp_path), "--resume"]
    options = command.parse([*again, "--keep", "2"])
    assert (options.resume, options.run, options.config.keep) == (True, tmp_path, 2)
    assert ChunkTrainer.resume(tmp_path, options.config).config.keep == 2
    with pytest.raises(ValueError, match="observed"):
        ChunkTrainer.resume(tmp_path, command.parse([*again, "--observed", "3"]).config)
    with pytest.raises(ValueError, match="'flow', not 'edm'"):
        command.parse([*again, "--method", "edm"])


def test_going_on_with_a_dataset_that_has_changed_is_refused(tmp_path: Path):
    root = write_demonstrations(tmp_path / "data")
    ChunkTrainer(config(root)).save(tmp_path / "run")
    longer = write_demonstrations(tmp_path / "longer", episodes=9)
    root.rename(tmp_path / "before")
    longer.rename(root)
    with pytest.raises(ValueError, match="changed"):
        ChunkTrainer.resume(tmp_path / "run")


def test_the_last_policies_are_kept_and_carry_averaged_weights(demonstrations: Path, tmp_path: Path):
    trainer = ChunkTrainer(config(demonstrations, keep=2))
    for _ in range(3):
        run(trainer, 5)
        trainer.save(tmp_path)
    assert [file.stem for file in policy_files(tmp_path)] == ["step-0000010", "step-0000015"]
    kept = load_chunk_run(tmp_path)
    assert kept.facts["steps"] == 15
    with trainer.averaged():
        averaged = weights(trainer).clone()
    assert not torch.equal(averaged, weights(trainer))
    assert torch.equal(averaged, torch.cat([value.flatten() for value in kept.policy.state_dict().values()]))


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(demonstrations: Path, tmp_path: Path):
    trainer = ChunkTrainer(config(demonstrations))
    run(trainer, 2)
    trainer.save(tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()
    with torch.no_grad():
        next(trainer.policy.parameters()).fill_(float("nan"))
    with pytest.raises(NotANumber, match="step 2"):
        trainer.step()
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_validation_episodes_are_not_learned_from(demonstrations: Path):
    data = ChunkTrainer(config(demonstrations)).data
    training, validation = ({row.index for row in part.sources[0].rows} for part in (data.training, data.validation))
    assert training | validation == set(range(8))
    assert not training & validation


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"action": "command"}, "command"),
        ({"columns": ("observation.elsewhere",)}, "observation.elsewhere"),
        ({"cameras": ("observation.images.top",)}, "observation.images.top"),
        ({"horizon": 64}, "episode"),
        ({"validation": 0.01}, "validation"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_by_name(demonstrations: Path, changes: dict, named: str):
    with pytest.raises(DatasetError, match=named):
        ChunkTrainer(config(demonstrations, **changes))


def test_nothing_to_observe_is_refused(demonstrations: Path):
    with pytest.raises(ValueError, match="nothing would be observed"):
        ChunkTrainer(config(demonstrations, columns=("none",)))


def test_the_action_is_no_observation(demonstrations: Path):
    given = config(demonstrations).action
    with pytest.raises(ValueError, match=f"{given} is what the policy gives, and no observation"):
        ChunkTrainer(config(demonstrations, columns=(given,)))


def test_a_policy_of_pictures_alone_drives_a_robot_that_has_numbers_too(tmp_path: Path):
    random, steps = np.random.default_rng(0), 10
    features = {"action": Feature(dtype="float32", shape=(2,)), CAMERA: Feature(dtype="video", shape=(96, 96, 3))}
    with DatasetWriter.create(tmp_path / "data", fps=10, features=features, robot_type="pusher") as writer:
        for _ in range(4):
            actions = random.uniform(0.0, 500.0, (steps, 2)).astype(np.float32)
            pictures = random.integers(0, 256, (steps, 96, 96, 3), np.uint8)
            writer.append(Episode(columns={"action": actions}, videos={CAMERA: pictures}, task="push the T", facts={}))
    trainer = ChunkTrainer(config(tmp_path / "data", columns=("none",), cameras=(CAMERA,), observed=1))
    run(trainer, 1)
    assert trainer.spec.columns == {}
    task = make_task("push_t-camera")
    env = Env(task, make_engine(task.scene, 2, "mujoco"), seed=0)
    runner = network_runner(trainer.policy.eval(), env, usual_execution(trainer.policy, 0))
    assert runner.commands(env)["target_position"].shape == (2, 2)


def test_a_channel_that_never_changes_is_refused_by_name_or_kept(tmp_path: Path):
    root = write_demonstrations(tmp_path / "still", still=True)
    with pytest.raises(DatasetError, match="target"):
        ChunkTrainer(config(root))
    run(ChunkTrainer(config(root, constant="keep")), 1)


def test_a_policy_file_of_another_kind_is_refused(demonstrations: Path, tmp_path: Path):
    trainer = ChunkTrainer(config(demonstrations))
    trainer.save(tmp_path)
    with pytest.raises(CheckpointError):
        load_chunk_run(tmp_path / CHECKPOINT)
    with pytest.raises(FileNotFoundError):
        load_chunk_run(tmp_path / "policies")
    assert load_chunk_run(tmp_path).policy.spec.fps == FPS
