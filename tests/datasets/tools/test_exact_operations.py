"""Depths and cameras without loss stay exact in whatever is done with a dataset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from exact_dataset import CAMERAS, DEPTH, EXACT, FEATURES, LOSSY, assert_exact, make_episode, write
from refusals import refused
from rich.console import Console
from spoiling import edit_parquet, with_column
from written import written

from isthmus_datasets.convert.importers.opening import open_source
from isthmus_datasets.convert.importers.source import ImportOptions
from isthmus_datasets.format.features import Features
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.tools.checks.suite import run_checks
from isthmus_datasets.tools.operations import keep_episodes, merge, recompute_statistics, reencode, split
from isthmus_datasets.tools.packing import pack
from isthmus_datasets.tools.report.dataset_page import page
from isthmus_datasets.tools.scan.gather import gather
from isthmus_datasets.tools.subcommands import Export, View


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("source") / "data")


def test_select_split_merge_and_pack(source: Path, tmp_path: Path):
    keep_episodes(source, tmp_path / "kept", [2, 0])
    assert_exact(tmp_path / "kept", [2, 0])
    split(source, {tmp_path / "first": [0], tmp_path / "rest": [1, 2]})
    assert_exact(tmp_path / "rest", [1, 2])
    merge([source, tmp_path / "kept"], tmp_path / "both")
    assert_exact(tmp_path / "both", [0, 1, 2, 2, 0])
    pack(tmp_path / "both", tmp_path / "packed")
    assert len(list((tmp_path / "packed/videos").rglob("*.mp4"))) == len(CAMERAS)
    assert_exact(tmp_path / "packed", [0, 1, 2, 2, 0])
    keep_episodes(tmp_path / "packed", tmp_path / "again", [1, 4])
    assert_exact(tmp_path / "again", [1, 0])
    assert said(tmp_path / "again") == said(source)


def said(root: Path) -> list:
    return [DatasetReader(root).info.features[camera].info for camera in CAMERAS]


def test_reencode_loses_nothing_where_nothing_was_lost(source: Path, tmp_path: Path):
    reencode(source, tmp_path / "small", crf=40, key_every=4)
    assert_exact(tmp_path / "small", range(3))
    assert said(tmp_path / "small") == said(source)
    with av.open(str(next((tmp_path / "small/videos" / DEPTH).rglob("file-001.mp4")))) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.pts is not None]
    assert [i for i, key in enumerate(keys) if key] == [0, 4, 8]


def test_reencode_can_promise_it_from_now_on(source: Path, tmp_path: Path):
    reencode(source, tmp_path / "kept", lossless=[LOSSY])
    old, new = DatasetReader(source), DatasetReader(tmp_path / "kept")
    assert new.info.features[LOSSY].is_lossless
    np.testing.assert_array_equal(new.frames(1, LOSSY), old.frames(1, LOSSY))
    with refused("camera top"):
        reencode(source, tmp_path / "other", lossless=["top"])


def test_a_promise_is_not_broken_by_merging(source: Path, tmp_path: Path):
    """The other way round nothing was promised."""
    features: Features = {**FEATURES, LOSSY: replace(FEATURES[LOSSY], info=FEATURES[EXACT].info)}
    written(tmp_path / "exact", features, [make_episode(7, 4)])
    with refused(f"{LOSSY} | reencode --lossless"):
        merge([tmp_path / "exact", source], tmp_path / "both")
    merge([source, tmp_path / "exact"], tmp_path / "both")
    assert DatasetReader(tmp_path / "both").num_episodes == 4


def test_an_episode_that_cannot_be_cut_out_is_encoded_without_loss(source: Path, tmp_path: Path):
    """The key frame at which episode 1 begins is not marked as one in the large file."""
    pack(source, tmp_path / "packed")
    for camera in (DEPTH, EXACT):
        (path,) = (tmp_path / "packed/videos" / camera).rglob("*.mp4")
        copy_without_later_keys(path)
    keep_episodes(tmp_path / "packed", tmp_path / "kept", [1])
    assert_exact(tmp_path / "kept", [1])


def copy_without_later_keys(path: Path) -> None:
    """Write a video anew with the first frame for its only key."""
    kept = path.with_name("kept.mp4")
    with av.open(str(path)) as before, av.open(str(kept), "w") as after:
        stream = before.streams.video[0]
        copy = after.add_stream_from_template(stream)
        for packet in before.demux(stream):
            if packet.pts is not None:
                packet.is_keyframe = packet.pts == 0
                packet.stream = copy
                after.mux(packet)
    kept.replace(path)


def test_a_replay_buffer_brings_depths_back(source: Path, tmp_path: Path):
    Export(source=source, target=tmp_path / "data.zarr").run(Console(quiet=True))
    again = open_source(tmp_path / "data.zarr", ImportOptions(lossless=(EXACT,)))
    assert again.features[DEPTH].is_depth
    assert_exact(written(tmp_path / "again", again.features, again.episodes), range(3))


def test_nothing_is_found_in_a_dataset_of_them(demonstrations, tmp_path: Path):
    """Depths of a slope that comes nearer."""
    features: Features = {**demonstrations.features, DEPTH: FEATURES[DEPTH]}
    slope = np.linspace(400, 3000, 15 * 21).reshape(15, 21, 1)
    episodes = []
    for episode in demonstrations.episodes():
        depths = np.stack([(slope - 5 * step).astype(np.uint16) for step in range(demonstrations.steps)])
        episodes.append(replace(episode, videos={**episode.videos, DEPTH: depths}))
    root = demonstrations.save(tmp_path / "data", episodes, features)
    assert demonstrations.check(root) == ([], "")
    recompute_statistics(root)
    assert demonstrations.check(root) == ([], "")
    assert f"<b>{DEPTH}</b><div class='film'>" in page(gather(root), [])
    assert View(path=root).run(Console(quiet=True)) == 0


@pytest.mark.parametrize(
    ("value", "checks", "told"),
    [(0, ["empty-images"], "without a reading in 60 of 60"), (700, ["empty-images"], "of one depth in 60 of 60")],
)
def test_depths_that_show_nothing_are_found(demonstrations, tmp_path: Path, value: int, checks: list[str], told: str):
    features: Features = {**demonstrations.features, DEPTH: FEATURES[DEPTH]}
    depths = np.full((demonstrations.steps, 15, 21, 1), value, np.uint16)
    made = [replace(each, videos={**each.videos, DEPTH: depths}) for each in demonstrations.episodes()]
    found, said = demonstrations.check(demonstrations.save(tmp_path / "data", made, features))
    assert [check for _, check, _ in found] == checks * len(made)
    assert f"{DEPTH} is {told}" in said


def test_a_depth_camera_that_hangs_is_found(demonstrations, tmp_path: Path):
    """One mm somewhere is a change: nothing but a stuck driver gives the same depths twice."""
    features: Features = {**demonstrations.features, DEPTH: FEATURES[DEPTH]}
    random = np.random.default_rng(0)
    slope = np.linspace(600, 900, 15 * 21).reshape(15, 21, 1)
    moving = (slope + random.integers(0, 9, (demonstrations.steps, 15, 21, 1))).astype(np.uint16)
    stuck = moving.copy()
    stuck[20:45] = stuck[20]
    made = [replace(each, videos={**each.videos, DEPTH: moving}) for each in demonstrations.episodes()]
    made[2] = replace(made[2], videos={**made[2].videos, DEPTH: stuck})
    found, said = demonstrations.check(demonstrations.save(tmp_path / "data", made, features))
    assert found == [("warning", "stuck", 2)]
    assert f"{DEPTH} shows one image for 2.5 s from step 20" in said


def test_wrong_statistics_of_depths_are_found(source: Path, tmp_path: Path):
    keep_episodes(source, tmp_path / "data", [0, 1])
    row = tmp_path / "data/meta/episodes/chunk-000/file-001.parquet"
    edit_parquet(row, lambda table: with_column(table, f"stats/{DEPTH}/mean", [[[[12.0]]]]))
    found = [each for each in run_checks(gather(tmp_path / "data")) if each.check == "statistics"]
    assert [each.episode for each in found] == [1]
    assert DEPTH in found[0].message
