"""From whatever lies at a path to a source of episodes, and from there into a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus_datasets.convert.importers import lerobot_v21, robomimic_hdf5, zarr_v2
from isthmus_datasets.convert.importers.bags import bag_source
from isthmus_datasets.convert.importers.source import ImportOptions, LazyEpisodes, Source
from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import INDEX_FEATURES, unlike
from isthmus_datasets.format.images.storage import without_loss
from isthmus_datasets.format.info import INFO_FILE, DatasetError, DatasetInfo
from isthmus_datasets.format.roles import better_names

if TYPE_CHECKING:
    from isthmus_datasets.format.writer import DatasetWriter

_IMPORTERS = (
    (zarr_v2.KIND, zarr_v2.recognises, zarr_v2.open_replay_buffer),
    (lerobot_v21.KIND, lerobot_v21.recognises, lerobot_v21.open_lerobot_v21),
    (robomimic_hdf5.KIND, robomimic_hdf5.recognises, robomimic_hdf5.open_demos),
    (bag_source.KIND, bag_source.recognises, bag_source.open_bags),
)


def open_source(path: Path, options: ImportOptions | None = None) -> Source:
    """Episodes of another format, by what lies at `path`: nothing is written, and little is read yet.

    Raises:
        DatasetError: nothing is there, it is none of the known formats (which are listed), it is damaged, or `options`
            lacks what the format does not say, says what does not apply, or names a camera that is not there.
    """
    if not path.exists():
        raise DatasetError(f"{path} does not exist")
    options = options or ImportOptions()
    for _, recognises, open_it in _IMPORTERS:
        if recognises(path):
            source = open_it(path, options)
            source = replace(source, features=without_loss(source.features, options.lossless))
            return source if recognises is bag_source.recognises else _with_better_names(source)
    if (path / INFO_FILE).is_file():
        version = DatasetInfo.from_file(path).codebase_version
        raise DatasetError(f"{path} is of LeRobot {version}, as datasets are here: use it as it is")
    if (path / "zarr.json").is_file():
        raise DatasetError(f"{path} is of zarr v3, and only v2 is read: write its arrays again with zarr_format=2")
    inside = [child for child in path.iterdir() if _is_known(child)] if path.is_dir() else []
    hint = f"; did you mean {' or '.join(map(str, sorted(inside)))}?" if inside else "."
    known = "".join(f"\n  {kind}" for kind, _, _ in _IMPORTERS)
    raise DatasetError(f"{path} is none of the formats that can be imported{hint} Known are:{known}")


def _with_better_names(source: Source) -> Source:
    """Columns by names from which learners see what they are. (Whoever imports a bag has named them.)"""
    better = better_names(source.features)
    if not better:
        return source

    def named(entries: Mapping[str, Any]) -> dict[str, Any]:
        return {better.get(name, name): value for name, value in entries.items()}

    def episode(index: int) -> Episode:
        old = source.episodes[index]
        return replace(old, columns=named(old.columns), final=None if old.final is None else named(old.final))

    for name, new in better.items():
        role = "output" if name.startswith("action") else "input"
        source.findings.append(f"{name} is called {new} here: policies would take it for {role}")
    return replace(source, features=named(source.features), episodes=LazyEpisodes(len(source.episodes), episode))


def _is_known(path: Path) -> bool:
    return any(recognises(path) for _, recognises, _ in _IMPORTERS)


def import_dataset(source: Source, writer: DatasetWriter) -> int:
    """Append all episodes of `source`; returns how many. `source.findings` is complete afterwards.

    Raises:
        DatasetError: the dataset has another rate or other features than the source, an episode cannot be read, or
            cannot be appended. What was appended before stays.
        OSError: a file cannot be written.
    """
    if writer.info.fps != source.fps:
        raise DatasetError(f"{writer.root} has {writer.info.fps} steps per second, what is imported has {source.fps}")
    declared = {name: feature for name, feature in writer.info.features.items() if name not in INDEX_FEATURES}
    if found := unlike(declared, source.features):
        name, here, there = found
        raise DatasetError(f"feature {name!r} is {here} in {writer.root}, {there} in what is imported")
    before = writer.num_episodes
    for episode in source.episodes:
        writer.append(episode)
    return writer.num_episodes - before
