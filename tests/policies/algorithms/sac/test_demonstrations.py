"""Transitions from a dataset are what happened in the Env, and what does not fit is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from signs import GROUPS, Signs, SignsConfig

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import INDEX_FEATURES
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_policies.algorithms.sac.demonstrations import Demonstrations, transition_features
from isthmus_policies.algorithms.sac.meaning import meaning
from isthmus_policies.algorithms.sac.replay import ReplayBuffer
from isthmus_policies.demonstrate.transitions import Options, demonstrated, record, recorded_groups
from isthmus_policies.training.run import load_run
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env

NUMBERS = {name: GROUPS[name] for name in ("actor", "critic")}
CPU, NEVER = torch.device("cpu"), np.zeros((3, 1), bool)


def lived(env: Env, policy: torch.nn.Module, worlds: int) -> list[list[dict[str, torch.Tensor]]]:
    """What happens in each world until its first end, step by step, and what was seen then."""
    seen, going = env.reset(), set(range(worlds))
    steps: list[list[dict[str, torch.Tensor]]] = [[] for _ in range(worlds)]
    while going:
        with torch.no_grad():
            action = policy.act(seen, {}, {})[0].clamp(-1.0, 1.0)  # pyright: ignore
        before = {name: value.clone() for name, value in seen.items()}  # an engine may write into what it gave
        step = env.step(action)
        for world in going:
            told = {"action": action, "reward": step.reward, "terminated": step.terminated, "truncated": step.truncated}
            row = {**told, **{f"observations.{name}": before[name] for name in env.task.groups}}
            steps[world].append({name: value[world].clone() for name, value in row.items()})
        for place, world in enumerate(step.ended.tolist()):
            if world in going:
                going.remove(world)
                steps[world].append({f"observations.{name}": value[place] for name, value in step.final.items()})
        seen = step.observations
    return steps


def expected_rows(steps: list[dict[str, torch.Tensor]]) -> list[dict[str, torch.Tensor]]:
    """An episode as a replay holds it: where time was out, the last row is what was seen then."""
    rows, final = steps[:-1], steps[-1]
    if bool(rows[-1]["terminated"]):
        return rows
    nothing = {name: torch.zeros_like(value) for name, value in rows[-1].items()}
    rows[-1]["truncated"] = torch.tensor(False)
    return [*rows, nothing | final | {"truncated": torch.tensor(True)}]


@pytest.mark.parametrize(("episode_steps", "ends"), [(None, "terminated"), (6, "truncated")])
def test_what_is_read_is_what_happened(run_folder: Path, tmp_path: Path, episode_steps: int | None, ends: str):
    """A policy that has not learned to fly falls; and before that, time is out."""
    run = load_run(run_folder)
    task, groups = run.task, recorded_groups(run.task)
    made = [Env(task, make_engine(task.scene, 3, run.engine), 7, episode_steps=episode_steps) for _ in range(2)]
    features = transition_features(groups, task.action_size)
    with DatasetWriter.create(tmp_path / "shown", fps=50, features=features) as writer:
        episodes = list(demonstrated(made[0], run.policy, 0.0))
        for episode in episodes:
            writer.append(episode)
    replay = Demonstrations([tmp_path / "shown"], task, groups, rewarded=True, device=CPU).replay
    worlds = lived(made[1], run.policy, 3)
    order = sorted(range(3), key=lambda world: len(worlds[world]))
    rows = [row for world in order for row in expected_rows(worlds[world])]
    assert len(replay) == len(rows)
    assert any(bool(row[ends]) for row in rows)
    for name in replay._kept:
        torch.testing.assert_close(replay._kept[name][: len(rows), 0], torch.stack([row[name] for row in rows]))


def test_the_command_records_what_a_run_does(run_folder: Path, tmp_path: Path):
    assert ": 2 episodes, " in record(Options(run=run_folder, dataset=tmp_path / "shown", episodes=2, noise=0.1))
    task = load_run(run_folder).task
    shown = Demonstrations([tmp_path / "shown"], task, recorded_groups(task), rewarded=True, device=CPU)
    assert float(shown.replay._kept["action"].abs().max()) <= 1.0


# By hand
# ---------------------------------------------------------------------------------------------------------------------
def written(
    root: Path, task: object = Signs, *, without: tuple[str, ...] = (), good: bool = True, **columns: np.ndarray
) -> Path:
    """Two episodes of three steps: one ends in success, or failure, one because time is out. Step k earns k."""
    features = transition_features(NUMBERS, 2)
    for name in without:
        del features[name]
    with DatasetWriter.create(root, fps=10, features=features) as writer:
        for cut in (False, True):
            last = np.array([[False], [False], [True]])
            values = {
                "observation.actor": np.arange(6, dtype=np.float32).reshape(3, 2),
                "observation.critic": np.ones((3, 3), np.float32),
                "action": np.full((3, 2), 0.5, np.float32),
                "next.reward": np.arange(3, dtype=np.float32)[:, None],
                "next.done": last,
                "next.truncated": last & cut,
                **columns,
            }
            final = {"observation.actor": np.array([8, 9], np.float32), "observation.critic": np.ones(3, np.float32)}
            writer.append(
                Episode(
                    columns={name: value for name, value in values.items() if name not in without},
                    task="signs",
                    facts={"meaning": json.dumps(meaning(task)), "success": good},  # pyright: ignore
                    final={name: value for name, value in final.items() if name not in without},
                )
            )
    return root


def read(root: Path, rewarded: bool = True) -> ReplayBuffer:
    return Demonstrations([root], Signs, NUMBERS, rewarded=rewarded, device=CPU).replay  # pyright: ignore


def test_what_followed_the_last_action_is_known(tmp_path: Path):
    replay = read(written(tmp_path / "shown"))
    assert len(replay) == 7, "three steps, three steps, and the end of time"
    batch = replay.sample(400, 1, 0.9, torch.Generator().manual_seed(0))
    last = (batch.observations["actor"] == torch.tensor([4.0, 5.0])).all(-1)
    goes_on = last & (batch.discount > 0)
    assert 0 < int(goes_on.sum()) < int(last.sum()), "one of the two episodes was cut"
    assert batch.discount[goes_on].tolist() == pytest.approx([0.9] * int(goes_on.sum()))
    assert bool((batch.next["actor"][goes_on] == torch.tensor([8.0, 9.0])).all())
    unknown = ~batch.known
    assert bool((batch.observations["actor"][unknown] == torch.tensor([8.0, 9.0])).all())
    assert 0 < int(unknown.sum()) < 120


@pytest.mark.parametrize(("good", "last"), [(True, 0.0), (False, -1.0)])
def test_without_rewards_nothing_but_a_failure_is_minded(tmp_path: Path, good: bool, last: float):
    """What is rewarded for not being taken over from needs no reward of the task. To run out of time is no failure."""
    replay = read(written(tmp_path / "shown", without=("next.reward",), good=good), rewarded=False)
    assert replay._kept["reward"][:7, 0].tolist() == [0.0, 0.0, last, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"without": ("next.reward",)}, "has no column 'next.reward', which learning from transitions needs: record"),
        ({"without": ("next.done",)}, "has no column 'next.done'"),
        ({"without": ("observation.critic",)}, "has no column 'observation.critic'"),
        ({"action": np.full((3, 2), 3.0, np.float32)}, "'action' goes up to 3, those of a task are from -1 to 1: rec"),
        ({"next.done": NEVER, "next.truncated": NEVER}, "episode 0 does not end with its last step alone"),
        ({"next.done": ~NEVER}, "episode 0 does not end with its last step alone"),
        ({"task": type("Other", (Signs,), {"config": SignsConfig(scale=2.0)})}, "config.scale: 2.0, here 1.0"),
        ({"task": type("Other", (Signs,), {"name": "waves"})}, "is of another task: task: 'waves', here 'signs'"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: dict, told: str):
    with pytest.raises(DatasetError, match=f"shown.*{told}"):
        read(written(tmp_path / "shown", **changes))


def test_other_shapes_are_refused(tmp_path: Path):
    groups = NUMBERS | {"actor": GROUPS["critic"]}
    with pytest.raises(DatasetError, match=r"'observation.actor' is float32 \(2,\), the task 'signs' has float32 \(3,"):
        Demonstrations([written(tmp_path / "shown")], Signs, groups, rewarded=True, device=CPU)  # pyright: ignore


def test_images_are_not_learned_from(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"hold no images, and observation.image would be needed"):
        Demonstrations([written(tmp_path / "shown")], Signs, GROUPS, rewarded=True, device=CPU)  # pyright: ignore


def test_a_dataset_that_says_nothing_of_its_numbers_is_refused(tmp_path: Path):
    features = transition_features(NUMBERS, 2)
    DatasetWriter.create(tmp_path / "none", fps=10, features=features).close()
    with pytest.raises(DatasetError, match="none has no episode: record it with: python -m"):
        read(tmp_path / "none")
    reader = DatasetReader(written(tmp_path / "shown"))
    names = [name for name in reader.info.columns if name not in INDEX_FEATURES]
    with DatasetWriter.create(tmp_path / "silent", fps=10, features=features) as writer:
        writer.append(Episode(columns=reader.columns(0, names), task="signs", final=reader.final(0)))
    with pytest.raises(DatasetError, match="silent: episode 0 does not say what its numbers mean"):
        read(tmp_path / "silent")


def test_a_changed_dataset_is_another_one(tmp_path: Path):
    first = Demonstrations([written(tmp_path / "a")], Signs, NUMBERS, rewarded=True, device=CPU)  # pyright: ignore
    again = Demonstrations([written(tmp_path / "b")], Signs, NUMBERS, rewarded=True, device=CPU)  # pyright: ignore
    again.load_state_dict(first.state_dict())
    changed = written(tmp_path / "c", action=np.full((3, 2), 0.4, np.float32))
    other = Demonstrations([changed], Signs, NUMBERS, rewarded=True, device=CPU)  # pyright: ignore
    with pytest.raises(ValueError, match=r"demonstrations in .*c have changed since the run was begun"):
        other.load_state_dict(first.state_dict())
