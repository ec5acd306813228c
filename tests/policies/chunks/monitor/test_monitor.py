"""A monitor is made of episodes, travels in the policy file, and says there what it says in torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from pusher_chunks import SPEC, untrained_chunks

from isthmus_deploy.policy.policy_file import PolicyFileError, ReplayStep, read, seal
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.policy.scores import TOLERANCE
from isthmus_policies.chunks.export.contract import make_chunk_contract
from isthmus_policies.chunks.export.graph import compile_chunks
from isthmus_policies.chunks.export.monitor import compile_chunk_scores
from isthmus_policies.chunks.inference import GraphInference
from isthmus_policies.chunks.monitor.fit import ChunkMonitorConfig, Scorer, fit_monitor
from isthmus_policies.chunks.monitor.watched import WatchedEpisode, watched_episodes
from isthmus_policies.chunks.runner import usual_executor
from isthmus_policies.evaluation.runners import batch_session
from isthmus_policies.export.contract import NOWHERE
from isthmus_policies.monitor.calibration import parts_of, windowed
from isthmus_sim.robots.pusher.description import ROBOT
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.push_t import PushT, PushTConfig

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # torch's exporter's own
CONFIG = ChunkMonitorConfig(false_alarms=0.25, chunks=4, window=2, learning=20)
FEATURES = 26


def made_up(episodes: int, *, inferences: int = 5, drawn: bool = True, seed: int = 0) -> list[WatchedEpisode]:
    """Successful episodes with an inference in every other control period."""
    generator = torch.Generator().manual_seed(seed)
    return [
        WatchedEpisode(
            embeddings=list(torch.randn(2 * inferences, FEATURES, generator=generator)),
            ticks=list(range(0, 2 * inferences, 2)),
            entropies=torch.randn(inferences, generator=generator).tolist() if drawn else [],
            succeeded=True,
        )
        for _ in range(episodes)
    ]


def test_the_monitor_is_made_of_what_succeeds_by_turns():
    good = made_up(8)  # of which six are a turn
    tried = [episode for each in good for episode in (replace(each, succeeded=False), each)]
    known, usual, held_out = parts_of(tried)
    assert [len(part) for part in (known, usual, held_out)] == [3, 2, 3]
    for part, places in ((known, (0, 3, 6)), (usual, (1, 7)), (held_out, (2, 4, 5))):
        assert all(episode is good[place] for episode, place in zip(part, places, strict=True))


def test_as_many_held_out_episodes_exceed_all_thresholds_at_a_time_as_the_place_says():
    """19 held-out episodes, share 0.25: the threshold is the ⌈20 x 0.75⌉ = 15th, which 4 exceed."""
    tried = made_up(39)
    scorer, monitor = fit_monitor(untrained_chunks("flow"), CONFIG, tried)
    assert (monitor.episodes, monitor.false_alarms, monitor.window) == (19, 0.25, 2)
    assert [score.name for score in monitor.scores] == ["novelty", "entropy"]
    assert monitor.noise == (4, 1, SPEC.horizon, SPEC.action_size)
    thresholds = torch.tensor([score.threshold for score in monitor.scores], dtype=torch.float64)
    rows = [windowed(scorer.of(episode), CONFIG.window) for episode in parts_of(tried)[2]]
    assert sum(bool((row > thresholds + 1e-9).all(dim=1).any()) for row in rows) == 4


def test_a_policy_that_draws_nothing_has_novelty_alone():
    _, monitor = fit_monitor(untrained_chunks("cloning"), CONFIG, made_up(12, drawn=False))
    assert [score.name for score in monitor.scores] == ["novelty"]
    assert monitor.noise is None


def _short(episodes: list[WatchedEpisode]) -> list[WatchedEpisode]:
    """Those that set thresholds end after their first inference."""
    for episode in parts_of(episodes)[2]:
        episode.ticks, episode.entropies = episode.ticks[:1], episode.entropies[:1]
    return episodes


def test_what_no_monitor_can_be_made_of_is_refused():
    policy = untrained_chunks("flow")
    with pytest.raises(ValueError, match=r"5 of 5 episodes succeeded, which leaves 2 .* takes at least 3"):
        fit_monitor(policy, CONFIG, made_up(5))
    same = [replace(episode, embeddings=[torch.ones(FEATURES)] * 10) for episode in made_up(12)]
    with pytest.raises(ValueError, match="do not differ"):
        fit_monitor(policy, CONFIG, same)
    decided = [replace(episode, entropies=[1.0] * 5) for episode in made_up(12)]
    with pytest.raises(ValueError, match="never changes"):
        fit_monitor(policy, CONFIG, decided)
    with pytest.raises(ValueError, match="fewer scores than a window of 2"):
        fit_monitor(policy, CONFIG, _short(made_up(12)))
    with pytest.raises(ValueError, match="between 0 and 1"):
        ChunkMonitorConfig(false_alarms=1.0)


def test_episodes_are_watched_until_they_end():
    """Of a policy that goes nowhere: one that begins in the goal ends at once, the other when time is out."""
    starts = ((60.0, 60.0, 256.0, 256.0, np.pi / 4), (60.0, 60.0, 300.0, 150.0, 0.0))
    task = PushT(ROBOT, PushTConfig(starts=starts, episode_steps=10))
    policy, executor = untrained_chunks("flow"), usual_executor(SPEC.horizon, execute=4)
    done, failed = watched_episodes(task, policy, executor, chunks=4, episodes=2, seed=3)
    assert (done.succeeded, len(done.embeddings), done.ticks, len(done.entropies)) == (True, 1, [0], 1)
    assert (failed.succeeded, len(failed.embeddings), failed.ticks) == (False, 10, [0, 4, 8])
    assert len(set(failed.entropies)) == 3
    again = watched_episodes(task, policy, executor, chunks=4, episodes=2, seed=3)[1]
    torch.testing.assert_close(torch.stack(again.embeddings), torch.stack(failed.embeddings), rtol=0, atol=0)
    assert again.entropies == failed.entropies


def reading(x: float) -> dict[str, np.ndarray]:
    """What the disc at x px and a block are seen as, in two control periods."""
    rows = {"agent_position": [[x, 100.0]] * 2, "block_position": [[250.0, 200.0]] * 2, "block_angle": [[1.0]] * 2}
    return {name: np.array(value, np.float32) for name, value in rows.items()}


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scorer, list[ReplayStep]]:
    """A policy file with a monitor, what computes its scores in torch, and its test vectors."""
    task, policy = make_task("push_t"), untrained_chunks("flow")
    width = policy.embed({"observation.state": torch.zeros(1, 2, 5)}).shape[1]
    wide = [
        replace(episode, embeddings=list(torch.randn(10, width, generator=torch.Generator().manual_seed(i))))
        for i, episode in enumerate(made_up(12))
    ]
    scorer, monitor = fit_monitor(policy, CONFIG, wide)
    contract = replace(make_chunk_contract(task, policy, usual_executor(SPEC.horizon), NOWHERE), monitor=monitor)
    model = compile_chunks(policy, task.robot, contract)
    graph, noise = GraphInference(batch_session(model), contract, task.robot), policy.noise(1)
    vectors = []
    for x in (100.0, 300.0):
        seen = {name: torch.from_numpy(value)[None] for name, value in reading(x).items()}
        chunk = graph.chunks(seen, noise, None)[0].numpy()
        vectors.append(
            ReplayStep(
                reset=True, signals=reading(x), commands={"target_position": chunk}, noise={"chunk": noise[0].numpy()}
            )
        )
    scores, vectors = compile_chunk_scores(scorer, task.robot, contract, vectors, seed=1)
    path = tmp_path_factory.mktemp("watched") / "policy.onnx"
    path.write_bytes(seal(model, contract, vectors, monitor=scores))
    return path, scorer, vectors


def test_the_graph_in_the_file_scores_as_torch_does(sealed: tuple[Path, Scorer, list[ReplayStep]]):
    path, scorer, vectors = sealed
    runtime = Runtime(path, seed=5)
    assert runtime.scores is not None
    random = np.random.default_rng(2)
    for x in (20.0, 200.0, 450.0):
        assert scorer.noise is not None
        noise = random.standard_normal(scorer.noise, np.float32)
        row = np.concatenate([reading(x)[name] for name in ("agent_position", "block_position", "block_angle")], axis=1)
        expected = (
            scorer({"observation.state": torch.from_numpy(row)[None]}, torch.from_numpy(noise)[None])[0]
            .detach()
            .numpy()
        )
        found = runtime.scores(reading(x), noise)
        assert np.all(np.abs(found - expected) <= TOLERANCE * (1.0 + np.abs(expected)))
    drawn = [runtime.scores(reading(200.0)).copy() for _ in range(2)]
    assert drawn[0][0] == drawn[1][0], "novelty draws nothing"
    assert drawn[0][1] != drawn[1][1]
    assert [step.scores.shape for step in read(path).replay] == [(2,)] * len(vectors)


def test_a_file_whose_scores_are_others_is_refused(sealed: tuple[Path, Scorer, list[ReplayStep]], tmp_path: Path):
    path, _, vectors = sealed
    file = read(path)
    assert file.monitor is not None
    swapped = [replace(step, scores=step.scores + 0.1) for step in vectors]
    other = tmp_path / "policy.onnx"
    other.write_bytes(seal(_without_metadata(file.model), file.contract, swapped, monitor=file.monitor))
    with pytest.raises(PolicyFileError, match="its scores are off by"):
        Runtime(other)
    other.write_bytes(seal(_without_metadata(file.model), file.contract, vectors))
    with pytest.raises(PolicyFileError, match=r"0 entries isthmus\.monitor"):
        Runtime(other)


def _without_metadata(model: bytes) -> bytes:
    """The plain ONNX model of a policy file."""
    graph = onnx.load_from_string(model)
    graph.ClearField("metadata_props")
    return graph.SerializeToString()
