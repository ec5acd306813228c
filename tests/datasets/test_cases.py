"""Public reports rebuilt as small inputs: each is read as it should be, or refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus_datasets.convert.importers.opening import open_source
from isthmus_datasets.convert.importers.source import ImportOptions
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.tools.operations import keep_episodes
from isthmus_datasets.tools.packing import pack

CASES = Path(__file__).parents[3] / "shared" / "cases" / "datasets"
pytestmark = pytest.mark.skipif(not CASES.exists(), reason=f"the cases are not at {CASES}")
STATE = {"observation.state": "/joint_states"}


def bag(name: str, *joints: str, **topics: str) -> tuple[int, list[str]]:
    """Steps of the only episode, and what was found."""
    options = ImportOptions(fps=20, task="reach", topics={**STATE, **topics}, joints=joints)
    source = open_source(CASES / name, options)
    (episode,) = source.episodes
    return episode.length, source.findings


def test_a_bag_that_was_cut_short():
    assert bag("cut_short.mcap") == (40, ["cut_short.mcap: was cut short: 40 messages can be read"])


def test_a_bag_without_an_index():
    steps, findings = bag("no_message_index.mcap")
    assert steps == 40
    assert findings == ["no_message_index.mcap: has no index of its messages: 40 messages can be read"]


def test_a_bag_of_eight_bytes():
    with pytest.raises(DatasetError, match="ends before any message"):
        bag("magic_only.mcap")


def test_a_split_bag_without_metadata():
    assert bag("split_bag_no_metadata")[0] == 60


def test_velocities_that_are_never_a_number():
    assert bag("joint_states_nan_velocity", "joint_3", "joint_1")[0] == 40
    with pytest.raises(DatasetError, match="/joint_states has nothing that is ever a number"):
        bag("joint_states_nan_velocity", **{"observation.velocity": "/joint_states:velocity"})


def test_depth_as_a_png():
    with pytest.raises(DatasetError, match="message 0 on /depth is a depth image"):
        bag("depth_png16", **{"observation.images.depth": "/depth"})


def test_a_zarr_of_version_3():
    with pytest.raises(DatasetError, match="is of zarr v3"):
        open_source(CASES / "zarr_v3.zarr")


def test_isaac_labs_demonstrations():
    options = ImportOptions(fps=20, task="stack", state=("policy/joint_vel",))
    source = open_source(CASES / "isaaclab.hdf5", options)
    assert source.features["observation.state"].shape == (9,)
    assert source.features["observation.datagen_info.eef_pose.franka"].shape == (4, 4)
    assert "not imported: initial_state, states of each demo" in source.findings


def test_a_template_of_version_2_with_the_names_of_version_3():
    """Its rows are not among the cases: the file is named that the template leads to."""
    with pytest.raises(DatasetError, match=r"files: data/chunk-000/episode_000000\.parquet"):
        open_source(CASES / "lerobot_v21_chunk_index_template")


def test_videos_in_av1(tmp_path: Path):
    source = CASES / "lerobot_0.4.4_av1"
    keep_episodes(source, tmp_path / "kept", [1])
    pack(source, tmp_path / "packed")
    assert DatasetReader(tmp_path / "kept").num_episodes == 1
    assert DatasetReader(tmp_path / "packed").info.total_frames == DatasetReader(source).info.total_frames
