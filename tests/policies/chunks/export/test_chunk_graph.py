"""The graph of a policy of chunks makes the chunks that the policy makes, from a robot's last readings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pusher_chunks import SPEC, untrained_chunks

from isthmus_deploy.chunk_executor import Strategy
from isthmus_deploy.policy.policy_file import TOLERANCE
from isthmus_policies.chunks.chunk_policy import ChunkPolicy, ChunkSpec
from isthmus_policies.chunks.encoder import EncoderConfig, ImageConfig
from isthmus_policies.chunks.export.contract import make_chunk_contract
from isthmus_policies.chunks.export.graph import compile_chunks
from isthmus_policies.chunks.inference import GraphInference, NetworkInference
from isthmus_policies.chunks.methods.denoising import DenoisingPolicy
from isthmus_policies.chunks.runner import usual_executor
from isthmus_policies.chunks.training.run import add_correction
from isthmus_policies.evaluation.runners import batch_session
from isthmus_policies.export.contract import NOWHERE
from isthmus_sim.task import Task
from isthmus_sim.tasks import make_task

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # torch's exporter's own


def both(task: Task, policy: ChunkPolicy, strategy: Strategy) -> tuple[NetworkInference, GraphInference, int]:
    """The policy, its graph, and the graph's size in bytes."""
    contract = make_chunk_contract(task, policy, usual_executor(policy.spec.horizon, strategy=strategy), NOWHERE)
    model = compile_chunks(policy, task.robot, contract)
    return NetworkInference(policy, task.robot), GraphInference(batch_session(model), contract, task.robot), len(model)


def places(n: int, seed: int = 1) -> dict[str, torch.Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    sizes = {"agent_position": 2, "block_position": 2, "block_angle": 1}
    return {name: 512 * torch.rand(n, 2, size, generator=drawn) for name, size in sizes.items()}


@pytest.mark.parametrize("method", ["cloning", "mip", "act", "flow", "edm", "diffusion"])
def test_every_method_makes_the_same_chunks(method: str):
    network, graph, _ = both(make_task("push_t"), untrained_chunks(method), "receding")
    for n in (1, 5):
        noise = torch.randn(n, *network.noise)
        expected = network.chunks(places(n), noise, None)
        assert (graph.chunks(places(n), noise, None) - expected).abs().max() <= 512 * TOLERANCE
        elsewhere = network.chunks(places(n, seed=2), noise, None)
        assert (elsewhere - expected).abs().max() > 1.0, "what is observed matters"


def test_near_to_another_chunk_it_makes_the_same_chunks_and_takes_no_more_room():
    policy = untrained_chunks("flow")
    network, graph, size = both(make_task("push_t"), policy, "warm_start")
    noise, before = torch.randn(5, *network.noise), 256 + 20 * torch.randn(5, SPEC.horizon, 2)
    made = {}
    for init in (None, before):
        made[init is None] = graph.chunks(places(5), noise, init)
        expected = network.chunks(places(5), noise, init)
        assert (made[init is None] - expected).abs().max() <= 512 * TOLERANCE
    assert (made[True] - made[False]).abs().max() > 1.0
    weights = sum(4 * value.numel() for value in policy.state_dict().values())
    assert size < 1.5 * weights + 400_000, "weights are stored once"


def test_corrections_are_in_the_graph():
    policy = untrained_chunks("flow")
    noise, before = policy.noise(5), 256 + 20 * torch.randn(5, SPEC.horizon, 2)
    plain = NetworkInference(policy, make_task("push_t").robot).chunks(places(5), noise, before)
    add_correction(policy, 16)
    assert isinstance(policy, DenoisingPolicy)
    assert policy.correction is not None
    with torch.no_grad():
        for weight in policy.correction.layers.parameters():  # a new one corrects next to nothing
            weight += 0.1 * torch.randn(weight.shape)
    network, graph, _ = both(make_task("push_t"), policy, "warm_start")
    for init in (None, before):
        expected = network.chunks(places(5), noise, init)
        assert (graph.chunks(places(5), noise, init) - expected).abs().max() <= 512 * TOLERANCE
    moved = (network.chunks(places(5), noise, before) - plain).abs()
    assert moved[:, 0].max() > 1.0
    assert moved[:, 1:].max() == 0.0


@pytest.mark.parametrize("camera", ["camera_scene", "scene"])
def test_images_go_in_as_bytes_at_the_cameras_size(camera: str):
    task = make_task("reach_cube")
    spec = ChunkSpec(fps=30, columns={}, cameras={f"observation.images.{camera}": (48, 32)}, action_size=6, horizon=4)
    small = EncoderConfig(image=ImageConfig(width=8, blocks=(1,), keypoints=4))
    network, graph, _ = both(task, untrained_chunks("cloning", spec, encoder=small), "receding")
    drawn = np.random.default_rng(0)
    windows = {
        "camera_scene": torch.from_numpy(drawn.integers(0, 256, (3, 2, 64, 64, 3), np.uint8)),
        **{name: torch.zeros(3, 2, 6) for name in ("joint_position", "joint_velocity")},
    }
    noise = torch.randn(3, *network.noise)
    expected = network.chunks(windows, noise, None)
    torch.testing.assert_close(graph.chunks(windows, noise, None), expected, rtol=0, atol=1e-3)
    dark = network.chunks(windows | {"camera_scene": windows["camera_scene"] // 2}, noise, None)
    assert (dark - expected).abs().max() > 1e-2, "what is seen matters"


def test_a_policy_of_another_rate_or_robot_is_refused():
    with pytest.raises(ValueError, match="control period"):
        both(make_task("push_t"), untrained_chunks("mip", replace(SPEC, fps=50)), "receding")
    with pytest.raises(ValueError, match="observes"):
        both(make_task("reach_cube"), untrained_chunks("mip"), "receding")
