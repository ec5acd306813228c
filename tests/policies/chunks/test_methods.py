"""Chunk policies on what can be worked out by hand: one answer, two answers, a goal, a chunk to begin near to."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from isthmus_datasets.training.normalizer import Normalizer
from isthmus_policies.chunks.chunk_policy import CHUNK_POLICIES, ChunkPolicy, ChunkSpec, SeenFrom, scaled
from isthmus_policies.chunks.denoisers.denoiser import DENOISERS
from isthmus_policies.chunks.denoisers.mlp import MlpConfig, MlpDenoiser
from isthmus_policies.chunks.encoder import EncoderConfig, ImageConfig, ObservationEncoder
from isthmus_policies.chunks.methods.diffusion import DiffusionConfig
from isthmus_policies.chunks.methods.few_step import FewStep

DRAWING = ("flow", "diffusion", "edm")
ALONE = [name for name in CHUNK_POLICIES if name != "few_step"]
"""Methods that need no teacher."""
SPEC = ChunkSpec(fps=10, columns={"observation.state": 1}, action_size=1, observed=1, horizon=4)


def normalizer(spec: ChunkSpec, offset: float = 0.0, scale: float = 1.0) -> Normalizer:
    sizes = {**spec.columns, spec.action: spec.action_size}
    offsets = {name: torch.full((size,), offset if name == spec.action else 0.0) for name, size in sizes.items()}
    scales = {name: torch.full((size,), scale if name == spec.action else 1.0) for name, size in sizes.items()}
    return Normalizer(dict.fromkeys(sizes, "min_max"), offsets, scales)


def make(
    method: str, spec: ChunkSpec = SPEC, *, offset: float = 0.0, scale: float = 1.0, **changes: object
) -> ChunkPolicy:
    torch.manual_seed(0)
    entry = CHUNK_POLICIES[method]
    encoder = ObservationEncoder(spec, EncoderConfig(image=ImageConfig(width=8, blocks=(1, 1), keypoints=4)))
    sizes = MlpConfig(width=64, depth=2)
    denoiser = MlpDenoiser(sizes, spec.action_size, spec.horizon, encoder.size) if entry.denoises else None
    small = {"width": 32, "encoder_layers": 1, "style": 4} if method == "act" else {}
    config = replace(entry.config, **small, **changes)
    return entry.make(config, spec, normalizer(spec, offset, scale), encoder, denoiser)


def learn(policy: ChunkPolicy, batch_of, steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(policy.parameters(), lr=2e-3)
    for _ in range(steps):
        loss = policy.loss(batch_of(generator), generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def one_answer(generator: torch.Generator) -> dict[str, Tensor]:
    """The action is half the state, throughout the chunk; in a unit that goes from 8 to 12."""
    state = 2 * torch.rand(256, 1, 1, generator=generator) - 1
    return {"observation.state": state, "action": (10 + 2 * (0.5 * state)).expand(-1, 4, -1)}


def two_answers(generator: torch.Generator) -> dict[str, Tensor]:
    """The actions are all 0.7 or all -0.7, and nothing tells which."""
    side = torch.randint(2, (256, 1, 1), generator=generator) * 1.4 - 0.7
    return {"observation.state": torch.zeros(256, 1, 1), "action": side.expand(-1, 4, -1).clone()}


@pytest.mark.parametrize("method", ALONE)
def test_what_is_demonstrated_is_done(method: str):
    policy = make(method, offset=10.0, scale=2.0)
    learn(policy, one_answer, 300)
    state = torch.linspace(-0.9, 0.9, 7).reshape(7, 1, 1)
    with torch.no_grad():
        chunks = policy.sample({"observation.state": state}, noise=policy.noise(7, torch.Generator().manual_seed(1)))
    assert chunks.shape == (7, 4, 1)
    torch.testing.assert_close(chunks, (10 + state).expand(-1, 4, -1), rtol=0, atol=0.35)


@pytest.mark.parametrize("method", DRAWING)
def test_of_two_ways_both_are_gone_and_none_between(method: str):
    policy = make(method)
    learn(policy, two_answers, 500)
    with torch.no_grad():
        noise = policy.noise(200, torch.Generator().manual_seed(1))
        chunks = policy.sample({"observation.state": torch.zeros(1, 1, 1)}, 200, noise=noise)
    way = chunks.mean(dim=(1, 2))
    assert (way.abs() > 0.5).float().mean() > 0.9
    assert 0.3 < (way > 0).float().mean() < 0.7


@pytest.mark.parametrize("way", ["regression", "consistency"])
def test_a_student_goes_both_ways_in_one_evaluation_as_its_teacher_cannot(way: str):
    teacher, student = make("flow"), make("few_step", way=way, jump=0.2)
    assert isinstance(student, FewStep)
    learn(teacher, two_answers, 500)
    student.learn_from(teacher)
    learn(student, two_answers, 500)
    noise = teacher.noise(200, torch.Generator().manual_seed(1)).expand(-1, 2, -1, -1)
    state = {"observation.state": torch.zeros(1, 1, 1)}
    with torch.no_grad():
        of_teacher = teacher.sample(state, 200, noise=noise[:, :1], steps=1).mean(dim=(1, 2))
        of_student = [student.sample(state, 200, noise=noise, steps=steps).mean(dim=(1, 2)) for steps in (1, 2)]
    assert (of_teacher.abs() > 0.45).float().mean() < 0.2
    for ways in of_student:
        assert (ways.abs() > 0.45).float().mean() > 0.8
        assert 0.3 < (ways > 0).float().mean() < 0.7


@pytest.mark.parametrize("method", ["cloning", "mip"])
def test_regression_goes_between_two_ways(method: str):
    policy = make(method)
    learn(policy, two_answers, 300)
    with torch.no_grad():
        chunks = policy.sample({"observation.state": torch.zeros(1, 1, 1)}, steps=1)
    assert chunks.abs().max() < 0.3


@pytest.mark.parametrize("method", DRAWING)
def test_a_chunk_to_begin_near_to_keeps_its_way(method: str):
    policy = make(method)
    learn(policy, two_answers, 500)
    begun = torch.tensor([0.7, -0.7]).repeat(50).reshape(100, 1, 1).expand(-1, 4, -1)
    noise = policy.noise(100, torch.Generator().manual_seed(1))
    for steps in (1, 2):
        with torch.no_grad():
            seen = {"observation.state": torch.zeros(1, 1, 1)}
            chunks = policy.sample(seen, 100, noise=noise, init=begun, steps=steps)
        assert ((chunks - begun).abs().mean(dim=(1, 2)) < 0.4).float().mean() > 0.95


@pytest.mark.parametrize("changes", [{"sampler": "ddpm", "steps": 50}, {"sampler": "dpm_solver"},
                                     {"prediction": "v_prediction"}, {"prediction": "epsilon"}])  # fmt: skip
def test_every_sampler_and_prediction_of_diffusion_does_what_is_demonstrated(changes: dict):
    policy = make("diffusion", **changes)
    learn(policy, two_answers, 400)
    with torch.no_grad():
        noise = policy.noise(100, torch.Generator().manual_seed(1))
        way = policy.sample({"observation.state": torch.zeros(1, 1, 1)}, 100, noise=noise).mean(dim=(1, 2))
    assert (way.abs() > 0.45).float().mean() > 0.85


@pytest.mark.parametrize("method", DRAWING)
def test_a_goal_decides_where_it_is_told_and_more_so_with_guidance(method: str):
    spec = replace(SPEC, goal=("observation.state",))

    def batch(generator: torch.Generator) -> dict[str, Tensor]:
        given = two_answers(generator)
        return given | {"goal.observation.state": given["action"][:, 0]}

    policy = make(method, spec)
    learn(policy, batch, 500)
    observations, noise = (
        {"observation.state": torch.zeros(1, 1, 1)},
        policy.noise(100, torch.Generator().manual_seed(1)),
    )
    with torch.no_grad():
        told = policy.sample(observations, 100, noise=noise, goal={"observation.state": torch.tensor([[0.7]])})
        guided = policy.sample(
            observations, 100, noise=noise, goal={"observation.state": torch.tensor([[0.7]])}, guidance=1.5
        )
        free = policy.sample(observations, 100, noise=noise)
    assert (told.mean(dim=(1, 2)) > 0.4).float().mean() > 0.95
    assert (guided.mean(dim=(1, 2)) > 0.4).float().mean() > 0.95
    assert 0.2 < (free.mean(dim=(1, 2)) > 0).float().mean() < 0.8


def test_a_goal_for_a_policy_without_goals_is_refused():
    with pytest.raises(ValueError, match="without goals"):
        make("flow").sample({"observation.state": torch.zeros(1, 1, 1)}, goal={"observation.state": torch.zeros(1, 1)})


@pytest.mark.parametrize("method", list(CHUNK_POLICIES))
def test_the_same_noise_gives_the_same_chunk(method: str):
    policy = make(method)
    observations, noise = {"observation.state": torch.randn(3, 1, 1)}, policy.noise(3)
    with torch.no_grad():
        assert torch.equal(policy.sample(observations, noise=noise), policy.sample(observations, noise=noise))


@pytest.mark.parametrize("method", list(CHUNK_POLICIES))
def test_no_action_is_outside_of_what_was_demonstrated(method: str):
    policy = make(method, offset=10.0, scale=2.0)
    with torch.no_grad():
        chunks = policy.sample({"observation.state": 100 * torch.randn(50, 1, 1)})
    assert chunks.min() >= 8.0
    assert chunks.max() <= 12.0


@pytest.mark.parametrize("name", list(DENOISERS))
def test_every_denoiser_learns(name: str):
    torch.manual_seed(0)
    entry = DENOISERS[name]
    small = {"channels": (16, 32), "condition": 32} if name == "unet" else {"width": 32, "depth": 2}
    denoiser = entry.make(replace(entry.config, **small), 1, 4, 1)
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=5e-3)
    losses = []
    for _ in range(200):
        seen, noisy = torch.randn(64, 1), torch.randn(64, 4, 1)
        loss = (denoiser(noisy, torch.rand(64), seen) - (noisy.flip(1) + seen.unsqueeze(1))).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_images_of_several_cameras_and_rows_are_seen():
    spec = ChunkSpec(fps=10, columns={}, cameras={"a": (32, 32), "b": (24, 40)}, action_size=2, observed=3, horizon=4)
    policy = make("flow", spec)
    images = {"a": torch.randint(0, 256, (2, 3, 3, 32, 32), dtype=torch.uint8)}
    images["b"] = torch.randint(0, 256, (2, 3, 3, 24, 40), dtype=torch.uint8)
    seen = policy.embed(images)
    other = policy.embed(images | {"b": 255 - images["b"]})
    assert seen.shape == (2, 3 * 2 * 8)
    assert not torch.equal(seen, other)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="horizon"):
        DENOISERS["unet"].make(DENOISERS["unet"].config, 2, 6, 3)
    with pytest.raises(ValueError, match="evaluations"):
        DiffusionConfig(steps=101)
    with pytest.raises(ValueError, match="not observed"):
        replace(SPEC, goal=("observation.elsewhere",))
    with pytest.raises(ValueError, match="3 observations"):
        make("flow").sample({"observation.state": torch.zeros(3, 1, 1)}, 5)


def test_an_angle_is_the_same_after_a_turn_and_near_it():
    spec = replace(SPEC, columns={"observation.state": 2}, angles={"observation.state": (1,)})
    policy = make("flow", spec)
    states = torch.tensor([[[0.3, 0.01]], [[0.3, 2 * torch.pi + 0.01]], [[0.3, -0.01]], [[0.3, torch.pi]]])
    seen = policy.embed({"observation.state": states})
    assert seen.shape == (4, 3)
    torch.testing.assert_close(seen[0], seen[1])
    torch.testing.assert_close(seen[0], torch.tensor([0.3, torch.tensor(0.01).cos(), torch.tensor(0.01).sin()]))
    assert (seen[0] - seen[2]).norm() < 0.03 < (seen[0] - seen[3]).norm()
    with pytest.raises(ValueError, match="numbers 0 to 0"):
        replace(SPEC, angles={"observation.state": (1,)})


def test_a_place_is_told_in_the_frame_of_a_pose_and_on_the_places_scale():
    seen = SeenFrom(place=(0, 1), pose=(2, 3, 4))
    # The frame is at (3, 1) and looks along y: its x axis is the world's y, its y axis the world's -x.
    torch.testing.assert_close(seen.of(torch.tensor([5.0, 4.0, 3.0, 1.0, torch.pi / 2])), torch.tensor([3.0, -2.0]))
    spec = replace(SPEC, columns={"observation.state": 5}, frames={"observation.state": (seen,)})
    scales = Normalizer(
        {"observation.state": "min_max", "action": "min_max"},
        {"observation.state": torch.full((5,), 1.0), "action": torch.zeros(1)},
        {"observation.state": torch.tensor([2.0, 4.0, 2.0, 2.0, 2.0]), "action": torch.ones(1)},
    )
    state = torch.tensor([[[5.0, 4.0, 3.0, 1.0, torch.pi / 2]]])
    told = scaled(spec, scales, {"observation.state": state})["observation.state"]
    assert spec.size("observation.state") == 7
    torch.testing.assert_close(told[0, 0], torch.tensor([2.0, 0.75, 1.0, 0.0, (torch.pi / 2 - 1) / 2, 1.5, -1.0]))
    with pytest.raises(ValueError, match="numbers 0 to 0"):
        replace(SPEC, frames={"observation.state": (seen,)})


def test_an_encoder_with_a_width_reads_everything_together():
    observations = {"observation.state": torch.zeros(3, SPEC.observed, 1)}
    encoder = ObservationEncoder(SPEC, EncoderConfig(width=12))
    assert encoder(observations).shape == (3, 12)
    act = CHUNK_POLICIES["act"]
    with pytest.raises(ValueError, match="leave out the encoder's width"):
        act.make(act.config, SPEC, normalizer(SPEC), encoder)
