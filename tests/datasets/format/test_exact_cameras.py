"""Cameras that lose nothing: depths of 16 bits, and RGB where that is chosen; and what the files say of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from exact_dataset import DEPTH, EXACT, FEATURES, LOSSY, assert_exact, make_episode, noise, write
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from refusals import refused
from written import written

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.images.frames import decode_image, png, read_frames, scan_video
from isthmus_datasets.format.images.storage import depth_camera, without_loss
from isthmus_datasets.format.images.video import write_video
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter

SIZES = st.tuples(st.integers(1, 5), st.integers(1, 33), st.integers(2, 33))  # FFV1 has no images one pixel wide


@given(values=SIZES.flatmap(lambda size: arrays(np.uint16, (*size, 1))), key_every=st.sampled_from([None, 1, 10]))
def test_depths_come_back_exactly(values: np.ndarray, key_every: int | None, tmp_path_factory: pytest.TempPathFactory):
    path = write_video(tmp_path_factory.mktemp("depth") / "d.mp4", values, fps=10, key_every=key_every)
    found = read_frames(path, range(len(values)), fps=10)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, values)


@given(values=SIZES.flatmap(lambda size: arrays(np.uint8, (*size, 3))))
def test_rgb_without_loss_comes_back_exactly(values: np.ndarray, tmp_path_factory: pytest.TempPathFactory):
    path = write_video(tmp_path_factory.mktemp("rgb") / "c.mp4", values, fps=10, lossless=True, key_every=10)
    np.testing.assert_array_equal(read_frames(path, range(len(values)), fps=10), values)


@pytest.mark.parametrize("camera", [DEPTH, EXACT])
def test_key_frames_come_as_often_as_asked(tmp_path: Path, camera: str):
    write_video(tmp_path / "c.mp4", noise(camera, 0, 12), fps=10, key_every=5, lossless=True)
    with av.open(str(tmp_path / "c.mp4")) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.pts is not None]
    places = [i for i, key in enumerate(keys) if key]
    assert places[0] == 0
    assert max(np.diff([*places, 12])) <= 5
    np.testing.assert_array_equal(read_frames(tmp_path / "c.mp4", [11, 3], fps=10), noise(camera, 0, 12)[[11, 3]])


def test_a_dataset_reads_back(tmp_path: Path):
    assert_exact(write(tmp_path / "data"), range(3))
    with DatasetWriter.open(tmp_path / "data") as writer:
        writer.append(make_episode(3, 4))
    assert_exact(tmp_path / "data", range(4))


def test_info_says_what_they_are(tmp_path: Path):
    features = json.loads((write(tmp_path / "data") / "meta/info.json").read_text())["features"]
    depth, exact = features[DEPTH], features[EXACT]
    assert (depth["dtype"], depth["shape"]) == ("video", [15, 21, 1])
    said = {name: depth["info"][name] for name in ("is_depth_map", "depth_unit", "video.channels", "video.codec")}
    assert said == {"is_depth_map": True, "depth_unit": "mm", "video.channels": 1, "video.codec": "ffv1"}
    assert depth["info"]["video.pix_fmt"] == "gray16le"
    assert (exact["info"]["video.codec"], exact["info"]["video.pix_fmt"]) == ("h264", "gbrp")
    assert (exact["info"]["video.channels"], exact["info"]["is_depth_map"]) == (3, False)
    assert features[LOSSY]["info"]["video.pix_fmt"] == "yuv420p"
    read = DatasetReader(tmp_path / "data").info.features
    assert [read[name].is_depth for name in (DEPTH, EXACT, LOSSY)] == [True, False, False]
    assert [read[name].is_lossless for name in (DEPTH, EXACT, LOSSY)] == [False, True, False]
    assert read[DEPTH].numpy == np.uint16


def test_statistics_of_depths_are_in_mm(tmp_path: Path):
    depths = np.full((4, 15, 21, 1), 1000, np.uint16)
    depths[:, 0], depths[:, 1] = 0, 3000
    made = replace(make_episode(0, 4), videos={**make_episode(0, 4).videos, DEPTH: depths})
    written(tmp_path / "data", FEATURES, [made])
    found = json.loads((tmp_path / "data/meta/stats.json").read_text())
    mean = (13 * 1000 + 3000) / 15
    assert found[DEPTH]["min"] == [[[0.0]]]
    assert found[DEPTH]["max"] == [[[3000.0]]]
    np.testing.assert_allclose(found[DEPTH]["mean"], [[[mean]]])
    np.testing.assert_allclose(found[DEPTH]["std"], [[[np.sqrt((13 * 1000**2 + 3000**2) / 15 - mean**2)]]])
    assert np.shape(found[EXACT]["mean"]) == (3, 1, 1)
    assert np.max(found[EXACT]["max"]) == 1.0


def test_images_in_the_rows_and_the_final_observation_keep_depths(tmp_path: Path):
    features = {"action": FEATURES["action"], DEPTH: FEATURES[DEPTH], "still": depth_camera(3, 5, dtype="image")}
    still = np.random.default_rng(0).integers(0, 65_536, (4, 3, 5, 1)).astype(np.uint16)
    last = noise(DEPTH, 9, 1)[0]
    made = Episode(
        columns={"action": np.zeros((4, 1)), "still": still},
        videos={DEPTH: noise(DEPTH, 0, 4)},
        task="look",
        final={DEPTH: last},
    )
    reader = DatasetReader(written(tmp_path / "data", features, [made]))
    np.testing.assert_array_equal(reader.columns(0)["still"], still)
    final = reader.final(0)
    assert final is not None
    np.testing.assert_array_equal(final[DEPTH], last)


def test_a_png_of_depths_has_16_bits():
    depths = np.array([[0, 1, 255, 256], [2500, 4096, 65_534, 65_535]], np.uint16)[..., None]
    np.testing.assert_array_equal(decode_image(png(depths)), depths)


@pytest.mark.parametrize(
    ("videos", "told"),
    [
        ({DEPTH: noise(DEPTH, 0, 5).astype(np.uint8)}, f"'{DEPTH}' | uint8 | uint16"),
        ({DEPTH: noise(DEPTH, 0, 5).repeat(3, axis=3)}, f"'{DEPTH}' | (5, 15, 21, 3)"),
        ({EXACT: noise(DEPTH, 0, 5)}, f"'{EXACT}' | (5, 15, 21, 1)"),
    ],
)
def test_images_of_another_kind_are_refused(tmp_path: Path, videos: dict[str, np.ndarray], told: str):
    episode = make_episode(0, 5)
    with refused(told):
        written(tmp_path / "data", FEATURES, [replace(episode, videos={**episode.videos, **videos})])


def test_a_file_with_loss_is_not_taken_where_none_was_promised(tmp_path: Path):
    features = {**FEATURES, EXACT: replace(FEATURES[EXACT], shape=(16, 16, 3))}
    lossy = write_video(tmp_path / "lossy.mp4", np.zeros((5, 16, 16, 3), np.uint8), fps=10)
    episode = make_episode(0, 5)
    with refused("yuv420p | gbrp"):
        written(tmp_path / "data", features, [replace(episode, videos={**episode.videos, EXACT: lossy})])


def test_mm_do_not_go_where_depths_are_coded(tmp_path: Path):
    """As in LeRobot's own datasets: it would take them for codes."""
    coded = {**(FEATURES[DEPTH].info or {}), "video.pix_fmt": "gray12le"}
    features = {**FEATURES, DEPTH: replace(FEATURES[DEPTH], info=coded)}
    with refused("gray16le | gray12le"):
        written(tmp_path / "data", features, [make_episode(0, 5)])


def test_depths_that_are_coded_are_not_taken_for_mm(tmp_path: Path):
    """LeRobot has codes of 12 bits in its videos. They are counted, and read by nobody here."""
    path = tmp_path / "coded.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "gray12le"
        frame = av.VideoFrame.from_ndarray(np.full((16, 16), 900, np.uint16), format="gray16le")
        for packet in (*stream.encode(frame.reformat(format="gray12le")), *stream.encode()):
            container.mux(packet)
    facts = scan_video(path, fps=10)
    assert (facts.frames, facts.shape, facts.info["is_depth_map"]) == (1, (16, 16, 1), True)
    for read in (lambda: read_frames(path, [0], fps=10), lambda: scan_video(path, fps=10, sample=[0])):
        with refused("coded.mp4 | gray12le"):
            read()


def test_a_camera_that_is_not_there_is_named():
    with refused(f"action, top | {DEPTH}, {EXACT}, {LOSSY}"):
        without_loss(FEATURES, ["top", "action"])
    with refused("depth_camera"):
        written(Path("never"), {**FEATURES, "grey": Feature(dtype="video", shape=(4, 4, 1))})
