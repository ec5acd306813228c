"""robomimic's HDF5 demonstrations: in the order of their numbers, by mask, with what was said of the simulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import h5py
import numpy as np
import pytest
from refusals import refused
from streams import frames
from written import imported

from isthmus_datasets.convert.importers.opening import open_source
from isthmus_datasets.convert.importers.source import ImportOptions

ENV_ARGS = {"env_name": "Lift", "type": 1, "env_kwargs": {"robots": ["Panda"], "control_freq": 20}}


def write_demo(data: h5py.Group, number: int, steps: int) -> h5py.Group:
    """Every number in it tells its demo: demo 3 has 300, 301, …"""
    demo = data.create_group(f"demo_{number}")
    demo.attrs["num_samples"], demo.attrs["model_file"], demo.attrs["seed"] = steps, "<mujoco/>", 7
    ramp = 100.0 * number + np.arange(steps)
    demo["actions"] = np.stack([ramp, -ramp], 1)
    demo["rewards"] = (np.arange(steps) == steps - 1).astype(float)
    demo["dones"] = (np.arange(steps) == steps - 1).astype(int)
    demo["states"] = np.tile(ramp[:, None], 4)
    demo["obs/eef_pos"] = np.tile(ramp[:, None], 3)
    demo["obs/gripper"] = ramp.astype(np.float32)
    demo["obs/agentview_image"] = np.full((steps, 16, 16, 3), 10 * number, np.uint8)
    demo["next_obs/gripper"] = ramp
    return demo


@pytest.fixture
def demos(tmp_path: Path) -> Path:
    """demo_0, demo_2 and demo_10 of 3, 4 and 5 steps."""
    path = tmp_path / "demo.hdf5"
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps(ENV_ARGS)
        for number, steps in ((0, 3), (10, 5), (2, 4)):
            write_demo(data, number, steps)
        file["mask/train"] = np.array([b"demo_10", b"demo_0"])
        file["mask/valid"] = np.array([b"demo_2"])
    return path


def test_demos_come_by_number_with_their_names_here(demos: Path):
    source = open_source(demos)
    assert (source.fps, source.robot_type) == (20, "Panda")
    assert [episode.facts["demo"] for episode in source.episodes] == ["demo_0", "demo_2", "demo_10"]
    assert {name: (f.dtype, f.shape) for name, f in source.features.items()} == {
        "action": ("float64", (2,)),
        "next.reward": ("float64", (1,)),
        "next.done": ("bool", (1,)),
        "simulator_state": ("float64", (4,)),
        "observation.eef_pos": ("float64", (3,)),
        "observation.gripper": ("float32", (1,)),
        "observation.images.agentview": ("video", (16, 16, 3)),
    }
    episode = source.episodes[1]
    assert episode.task == "Lift"
    assert episode.columns["action"].tolist() == [[200, -200], [201, -201], [202, -202], [203, -203]]
    assert episode.columns["next.done"].tolist() == [[False], [False], [False], [True]]
    assert np.unique(frames(episode, "observation.images.agentview")).tolist() == [20]
    assert json.loads(str(episode.facts["env_args"])) == ENV_ARGS
    assert (episode.facts["masks"], episode.facts["seed"]) == ("valid", 7)
    assert source.findings == [
        "no observation is called state; these could make it: agentview_image, eef_pos, gripper",
        "not imported: next_obs, model_file of each demo",
    ]


def test_what_only_the_simulator_knows_is_no_observation(demos: Path):
    """robomimic's `object` is the true pose of what is to be lifted."""
    with h5py.File(demos, "r+") as file:
        for demo in cast(h5py.Group, file["data"]).values():
            demo["obs/object"] = np.ones((len(demo["actions"]), 10))
            demo["actions_abs"] = np.ones((len(demo["actions"]), 7))
    source = open_source(demos)
    assert {"simulation.object", "abs_action"} <= source.features.keys()
    assert not {"observation.object", "actions_abs"} & source.features.keys()
    assert source.episodes[0].columns["simulation.object"].shape == (3, 10)
    assert "observation.object is called simulation.object here: policies would take it for input" in source.findings
    assert "actions_abs is called abs_action here: policies would take it for output" in source.findings


def test_a_mask_chooses_demos(demos: Path):
    source = open_source(demos, ImportOptions(filter_key="train"))
    assert [episode.facts["demo"] for episode in source.episodes] == ["demo_0", "demo_10"]
    with refused("'test' | train, valid"):
        open_source(demos, ImportOptions(filter_key="test"))


def test_observations_are_joined_to_a_state(demos: Path):
    source = open_source(demos, ImportOptions(state=("eef_pos", "gripper")))
    assert source.features["observation.state"].names == ("eef_pos.0", "eef_pos.1", "eef_pos.2", "gripper.0")
    assert "observation.gripper" not in source.features
    assert source.episodes[1].columns["observation.state"][2].tolist() == [202.0] * 4
    with refused("/data/demo_0 | observation wrist | agentview_image, eef_pos"):
        open_source(demos, ImportOptions(state=("wrist",)))


def test_observations_in_groups_are_taken_too(demos: Path):
    """As Isaac Lab writes them. A group itself makes no state; what could is said."""
    with h5py.File(demos, "a") as file:
        for number, steps in ((0, 3), (2, 4), (10, 5)):
            file[f"data/demo_{number}/obs/policy/joint_vel"] = np.full((steps, 2), number, np.float32)
    source = open_source(demos)
    assert source.features["observation.policy.joint_vel"].shape == (2,)
    assert source.episodes[2].columns["observation.policy.joint_vel"].tolist() == [[10.0, 10.0]] * 5
    assert any("gripper, policy/joint_vel" in finding for finding in source.findings)
    joined = open_source(demos, ImportOptions(state=("gripper", "policy/joint_vel"))).features["observation.state"]
    assert joined.names == ("gripper.0", "policy.joint_vel.0", "policy.joint_vel.1")
    with refused("observation policy | policy/joint_vel"):
        open_source(demos, ImportOptions(state=("policy",)))


def test_a_dataset_of_them_reads_back(demos: Path, tmp_path: Path):
    source = open_source(demos)
    dataset = imported(source, tmp_path / "lift")
    for index, episode in enumerate(source.episodes):
        saved = dataset.episode(index)
        assert saved.facts == episode.facts
        for name, values in episode.columns.items():
            np.testing.assert_array_equal(saved.columns[name], values)


def spoil(path: Path, demo: str, part: str, values: np.ndarray | None) -> None:
    with h5py.File(path, "r+") as file:
        del file[f"data/{demo}/{part}"]
        if values is not None:
            file[f"data/{demo}/{part}"] = values


@pytest.mark.parametrize(
    ("part", "values", "told"),
    [
        ("actions", None, "/data/demo_10 | no actions | dones, next_obs, obs, rewards, states"),
        ("actions", np.ones((4, 2)), "/data/demo_10 | 4 actions | 5 rows of dones"),
        ("actions", np.ones((0, 2)), "/data/demo_10 | 0 actions"),
        ("obs/gripper", None, "/data/demo_10 | obs/gripper | /data/demo_0"),
        ("obs/gripper", np.ones(4, np.float32), "/data/demo_10 | 5 actions | 4 rows of obs/gripper"),
        ("obs/eef_pos", np.ones((5, 4)), "/data/demo_10/obs/eef_pos | (4,) | /data/demo_0 | (3,)"),
    ],
)
def test_a_demo_unlike_the_first_is_refused(demos: Path, part: str, values: np.ndarray | None, told: str):
    spoil(demos, "demo_10", part, values)
    with refused(f"demo.hdf5 | {told}"):
        open_source(demos)


def test_odd_ones_are_reported(demos: Path):
    with h5py.File(demos, "r+") as file:
        file["data/demo_2"].attrs["num_samples"] = 9
        file["data/demo_2"].attrs["goal"] = np.array([0.5, 1.0])
        file["data/demo_2/obs/extra"] = np.ones(4)
    source = open_source(demos)
    findings, facts = source.findings, source.episodes[1].facts
    assert json.loads(str(facts["goal"])) == [0.5, 1.0], "a list is no fact, its text is"
    assert "not imported: obs/extra of /data/demo_2, which /data/demo_0 does not have" in findings
    assert "/data/demo_2 says num_samples 9, but has 4" in findings


def test_a_truncated_file_is_refused(demos: Path):
    demos.write_bytes(demos.read_bytes()[:-1000])
    with refused("demo.hdf5 | copy the file again"):
        open_source(demos)


def test_a_damaged_block_names_the_demo(tmp_path: Path):
    path = tmp_path / "demo.hdf5"
    values = np.full((64, 8), 12345.678)
    with h5py.File(path, "w") as file:
        for name in ("demo_0", "demo_1"):
            file.create_dataset(f"data/{name}/actions", data=values, chunks=(64, 8), fletcher32=True)
            values = values + 1
    content = path.read_bytes()
    where = content.index(np.float64(12346.678).tobytes() * 8)
    path.write_bytes(content[:where] + bytes(8) + content[where + 8 :])
    source = open_source(path, ImportOptions(fps=20, task="lift"))
    assert source.episodes[0].length == 64
    with refused("demo.hdf5 | episode 1 (demo_1)"):
        source.episodes[1]


def test_a_file_without_demos_says_what_it_holds(tmp_path: Path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["qpos"] = np.ones(3)
    with refused("other.h5 | data/demo_N | qpos"):
        open_source(tmp_path / "other.h5")


def test_without_env_args_rate_and_task_must_be_said(demos: Path):
    with h5py.File(demos, "r+") as file:
        del file["data"].attrs["env_args"]
    with refused("fps and task"):
        open_source(demos)
    source = open_source(demos, ImportOptions(fps=10, task="lift the cube"))
    assert (source.fps, source.robot_type, source.episodes[0].task) == (10, None, "lift the cube")
