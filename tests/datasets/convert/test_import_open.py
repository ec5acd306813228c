"""Whatever lies at a path is recognised, or answered with what would be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from isthmus_datasets.convert.exporters.zarr_v2 import export_replay_buffer
from isthmus_datasets.convert.importers.opening import import_dataset, open_source
from isthmus_datasets.convert.importers.source import ImportOptions, Source
from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.writer import DatasetWriter

FEATURES = {"action": Feature(dtype="float32", shape=(2,))}


def episode(value: float = 1.0) -> Episode:
    return Episode(columns={"action": np.full((3, 2), value, np.float32)}, task="push")


@pytest.fixture
def buffer(tmp_path: Path) -> Path:
    return export_replay_buffer(tmp_path / "in" / "a.zarr", [episode(), episode(2)], fps=10, features=FEATURES)


def test_what_is_not_known_is_answered_with_what_is(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DatasetError) as caught:
        open_source(tmp_path / "notes.txt")
    for format_name in ("zarr v2", "LeRobot v2.1", "robomimic", "ROS 2 bag"):
        assert format_name in str(caught.value)
    with refused("missing does not exist"):
        open_source(tmp_path / "missing")


def test_a_newer_zarr_is_called_by_its_name(tmp_path: Path):
    (tmp_path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    with refused("zarr v3 | v2"):
        open_source(tmp_path)


def test_the_folder_above_is_answered_with_the_one_that_was_meant(buffer: Path):
    with refused("did you mean | a.zarr"):
        open_source(buffer.parent)


def test_an_option_that_would_be_ignored_is_refused(buffer: Path):
    with refused("topics | fps, task, robot_type, images, empty_chunks"):
        open_source(buffer, ImportOptions(topics={"action": "/cmd"}))


def test_episodes_are_read_one_by_one_and_can_be_cut_out(buffer: Path):
    source = open_source(buffer)
    assert len(source.episodes) == 2
    assert [float(e.columns["action"][0, 0]) for e in source.episodes[::-1]] == [2, 1]
    assert source.episodes[-1].columns["action"][0, 0] == 2
    with pytest.raises(IndexError):
        source.episodes[2]


def test_a_dataset_of_another_rate_is_not_appended_to(tmp_path: Path):
    source = Source(fps=20, features=FEATURES, robot_type=None, episodes=[episode()])
    with DatasetWriter.create(tmp_path / "data", fps=10, features=FEATURES) as writer:
        with refused("data | 10 | 20"):
            import_dataset(source, writer)
        assert writer.num_episodes == 0


def test_what_was_appended_before_an_error_stays(tmp_path: Path):
    odd = Episode(columns={"action": np.zeros((3, 3), np.float32)}, task="push")
    source = Source(fps=10, features=FEATURES, robot_type=None, episodes=[episode(), odd])
    with DatasetWriter.create(tmp_path / "data", fps=10, features=FEATURES) as writer:
        with refused("episode 1 | 'action'"):
            import_dataset(source, writer)
        assert writer.num_episodes == 1
