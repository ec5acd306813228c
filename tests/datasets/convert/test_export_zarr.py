"""An exported replay buffer, read back by the importer, is what was exported."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused
from streams import frames
from written import imported

from isthmus_datasets.convert.exporters.zarr_v2 import export_replay_buffer
from isthmus_datasets.convert.importers.opening import open_source
from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.images.video import write_video

FEATURES = {
    "action": Feature(dtype="float32", shape=(2,), names=("x", "y")),
    "observation.state": Feature(dtype="float64", shape=(3, 2)),
    "next.done": Feature(dtype="bool", shape=(1,)),
    "capture_time_ns": Feature(dtype="int64", shape=(1,)),
    "controller": Feature(dtype="string", shape=(1,)),
    "observation.images.scene": Feature(dtype="video", shape=(4, 6, 3)),
}
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@st.composite
def episodes(draw: st.DrawFn) -> Episode:
    """Any numbers, words and images, of 1 to 5 steps."""
    steps = draw(st.integers(1, 5))

    def column(name: str) -> np.ndarray:
        feature = FEATURES[name]
        if feature.dtype == "string":
            return np.array([[draw(WORDS)] for _ in range(steps)], object)
        elements = {"allow_nan": False, "allow_infinity": False} if feature.numpy.kind == "f" else {}
        return draw(arrays.arrays(feature.numpy, (steps, *feature.shape), elements=elements or None))

    observations = [name for name in FEATURES if name.startswith("observation.")]
    return Episode(
        final={name: column(name)[0] for name in observations} if draw(st.booleans()) else None,
        columns={name: column(name) for name, feature in FEATURES.items() if not feature.is_video},
        videos={"observation.images.scene": column("observation.images.scene")},
        task=draw(WORDS.filter(bool)),
        facts={"success": draw(st.booleans()), "operator": draw(WORDS), "seed": draw(st.integers(0, 2**53))},
    )


@settings(max_examples=15, deadline=None)
@given(st.lists(episodes(), min_size=1, max_size=3))
def test_a_round_trip_changes_nothing(recorded: list[Episode]):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "replay.zarr"
        export_replay_buffer(path, recorded, fps=30, features=FEATURES, robot_type="so101")
        source = open_source(path)
        assert (source.fps, source.robot_type, source.features) == (30, "so101", FEATURES)
        assert len(source.episodes) == len(recorded)
        for before, after in zip(recorded, source.episodes, strict=True):
            assert (after.task, after.facts) == (before.task, before.facts)
            for name, values in before.columns.items():
                np.testing.assert_array_equal(after.columns[name], values)
            assert (before.final is None) == (after.final is None)
            for name, values in (before.final or {}).items():
                assert after.final is not None
                np.testing.assert_array_equal(after.final[name], values)
            for camera in before.videos:
                np.testing.assert_array_equal(frames(after, camera), frames(before, camera))


def test_units_and_what_else_is_said_come_back(tmp_path: Path):
    features = {
        "action": replace(FEATURES["action"], info={"units": ["m", "rad"]}, extra={"fps": 10}),
        "still": Feature(dtype="image", shape=(4, 6, 3)),
    }
    still = np.arange(72, dtype=np.uint8).reshape(1, 4, 6, 3)
    recorded = replace(episode(1), columns={"action": np.ones((1, 2), np.float32), "still": still})
    said = {"collected_at": "the lab"}
    source = open_source(export_replay_buffer(tmp_path / "a.zarr", [recorded], fps=10, features=features, extra=said))
    assert {name: feature.to_json() for name, feature in source.features.items()} == {
        name: feature.to_json() for name, feature in features.items()
    }
    assert source.extra == said
    np.testing.assert_array_equal(imported(source, tmp_path / "a").columns(0)["still"], still)


def episode(steps: int = 3, **videos) -> Episode:
    return Episode(columns={"action": np.ones((steps, 2), np.float32)}, videos=videos, task="push")


def test_others_find_the_layout_of_diffusion_policy(tmp_path: Path):
    features = {"action": FEATURES["action"]}
    path = export_replay_buffer(tmp_path / "a.zarr", [episode(3), episode(4)], fps=10, features=features)
    root = zarr.open_group(str(path), mode="r")
    assert np.asarray(root["meta/episode_ends"]).tolist() == [3, 7]
    assert np.asarray(root["data/action"]).shape == (7, 2)
    assert [child.name for child in tmp_path.iterdir()] == ["a.zarr"]


def test_a_video_file_is_decoded(tmp_path: Path):
    frames = np.array([20, 120, 220], np.uint8)[:, None, None, None] * np.ones((16, 16, 3), np.uint8)
    video = write_video(tmp_path / "a.mp4", frames, fps=10)
    features = {"action": FEATURES["action"], "wrist": Feature(dtype="video", shape=(16, 16, 3))}
    path = export_replay_buffer(tmp_path / "a.zarr", [episode(wrist=video)], fps=10, features=features)
    images = np.asarray(zarr.open_group(str(path), mode="r")["data/wrist"])
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), [20, 120, 220], atol=2)


@pytest.mark.parametrize(
    ("given_episodes", "features", "told"),
    [
        ([], {"action": FEATURES["action"]}, "no episode"),
        ([episode(), episode(0)], {"action": FEATURES["action"]}, "episode 1 | rows"),
        ([episode()], {"reward": FEATURES["action"]}, "episode 0 | reward"),
        ([episode()], {"action": FEATURES["next.done"]}, "episode 0 | action | (3, 2)"),
        ([episode()], dict.fromkeys(("img", "observation.images.img"), FEATURES["action"]), "array img"),
    ],
)
def test_what_cannot_be_exported_leaves_nothing(tmp_path: Path, given_episodes, features, told: str):
    with refused(told):
        export_replay_buffer(tmp_path / "a.zarr", given_episodes, fps=10, features=features)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path):
    (tmp_path / "a.zarr").mkdir()
    with refused("a.zarr | already there"):
        export_replay_buffer(tmp_path / "a.zarr", [episode()], fps=10, features={"action": FEATURES["action"]})
