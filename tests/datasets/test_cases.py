"""Public reports rebuilt as small inputs: each is read as it should be, or refused in words."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from refusals import refused
from written import imported

from isthmus_datasets.convert.importers.opening import open_source
from isthmus_datasets.convert.importers.source import ImportOptions
from isthmus_datasets.format.episode_index import episode_files
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.tools.checks.suite import run_checks
from isthmus_datasets.tools.operations import keep_episodes
from isthmus_datasets.tools.packing import pack
from isthmus_datasets.tools.scan.gather import gather

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
    with refused("magic_only.mcap | before any message"):
        bag("magic_only.mcap")


def test_a_split_bag_without_metadata():
    assert bag("split_bag_no_metadata")[0] == 60


def test_velocities_that_are_never_a_number():
    assert bag("joint_states_nan_velocity", "joint_3", "joint_1")[0] == 40
    with refused("/joint_states | never a number"):
        bag("joint_states_nan_velocity", **{"observation.velocity": "/joint_states:velocity"})


def test_depth_as_a_png(tmp_path: Path):
    """2.5 m are 2500, not grey 9."""
    camera = "observation.images.depth"
    source = open_source(CASES / "depth_png16", ImportOptions(fps=20, task="reach", topics={**STATE, camera: "/depth"}))
    depths = imported(source, tmp_path / "data").frames(0, camera)
    assert (depths.dtype, depths.shape[1:]) == (np.uint16, (32, 48, 1))
    assert np.unique(depths[0]).tolist() == [700, 2500]
    assert np.unique(depths[1]).tolist() == [705, 2500]


def test_a_zarr_of_version_3():
    with refused("zarr v3"):
        open_source(CASES / "zarr_v3.zarr")


def test_isaac_labs_demonstrations():
    options = ImportOptions(fps=20, task="stack", state=("policy/joint_vel",))
    source = open_source(CASES / "isaaclab.hdf5", options)
    assert source.features["observation.state"].shape == (9,)
    assert source.features["observation.datagen_info.eef_pose.franka"].shape == (4, 4)
    assert "not imported: initial_state, states of each demo" in source.findings


def test_a_template_of_version_2_with_the_names_of_version_3():
    """Its rows are not among the cases: the file is named that the template leads to."""
    with refused("data/chunk-000/episode_000000.parquet"):
        open_source(CASES / "lerobot_v21_chunk_index_template")


def test_videos_in_av1(tmp_path: Path):
    source = CASES / "lerobot_0.4.4_av1"
    keep_episodes(source, tmp_path / "kept", [1])
    pack(source, tmp_path / "packed")
    assert DatasetReader(tmp_path / "kept").num_episodes == 1
    assert DatasetReader(tmp_path / "packed").info.total_frames == DatasetReader(source).info.total_frames


def test_a_dataset_of_lerobots_is_gone_on_with_in_its_own_columns(tmp_path: Path):
    """Readers take the columns of the first file of meta/episodes for all."""
    root = tmp_path / "native"
    shutil.copytree(CASES / "lerobot_0.4.4_native", root)
    before = DatasetReader(root)
    again = replace(before.episode(1), facts={}, final=None)
    with DatasetWriter.open(root) as writer:
        with refused("operator, seed"):
            writer.append(replace(again, facts={"operator": "me", "seed": 3, "success": None}))
        assert writer.num_episodes == before.num_episodes, "nothing was written"
        writer.append(again)
    first, *_, last = (pq.read_schema(path) for path in episode_files(root))
    assert last.remove_metadata() == first.remove_metadata()
    assert np.array_equal(DatasetReader(root).columns(4)["action"], again.columns["action"])
    assert [finding for finding in run_checks(gather(root)) if finding.check in ("files", "totals")] == []


def test_columns_that_do_not_match_are_found(tmp_path: Path):
    root = tmp_path / "native"
    shutil.copytree(CASES / "lerobot_0.4.4_native", root)
    rows = pq.read_table(episode_files(root)[0])
    pq.write_table(rows.slice(0, 3), episode_files(root)[0])
    pq.write_table(rows.slice(3).append_column("facts", [["{}"]]), episode_files(root)[0].with_name("file-001.parquet"))
    (finding,) = (each for each in run_checks(gather(root)) if each.check == "files")
    assert "file-001.parquet has the columns facts, file-000.parquet has not" in finding.message
