"""Datasets to load from."""

from __future__ import annotations

from pathlib import Path

import pytest
from counting_dataset import write

from isthmus_datasets.format.reader import DatasetReader


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> DatasetReader:
    return DatasetReader(write(tmp_path_factory.mktemp("made") / "counting"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset that the test may change."""
    return write(tmp_path / "data")
