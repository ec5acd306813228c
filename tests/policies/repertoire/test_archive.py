"""The archive keeps the best of each cell, and the search fills more cells than chance."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from isthmus_policies.repertoire.archive import Archive
from isthmus_policies.repertoire.search import SearchConfig, search

NUMBERS = st.floats(0.0, 1.0, width=32)


def test_each_cell_keeps_its_best_and_what_is_invalid_is_none():
    archive = Archive((2, 3), 1)
    descriptors = torch.tensor([[0.0, 0.0], [0.4, 0.3], [1.0, 1.0], [0.6, 0.5], [0.6, 0.6]])
    solutions = torch.arange(5.0).unsqueeze(1)
    assert archive.add(solutions, descriptors, torch.tensor([1.0, 2.0, 3.0, math.nan, -math.inf])) == 2
    assert archive.cells(descriptors).tolist() == [0, 0, 5, 4, 4]
    assert archive.filled.tolist() == [0, 5]
    assert archive.quality[[0, 5]].tolist() == [2.0, 3.0]
    assert archive.solutions[0].tolist() == [1.0]
    assert (archive.coverage, archive.best) == (2 / 6, 5)
    assert archive.add(solutions[:1], descriptors[:1], torch.tensor([1.5])) == 0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=30), st.integers(1, 30))
def test_in_whatever_portions_solutions_come_the_archive_is_the_same(tried: list[tuple[float, ...]], portion: int):
    rows = torch.tensor(tried)
    at_once, by_portions = Archive((3, 3), 3), Archive((3, 3), 3)
    at_once.add(rows, rows[:, :2], rows[:, 2])
    for some in rows.split(portion):
        by_portions.add(some, some[:, :2], some[:, 2])
    assert torch.equal(at_once.quality, by_portions.quality)
    assert torch.equal(at_once.solutions, by_portions.solutions)


def test_an_empty_archive_has_no_best():
    with pytest.raises(ValueError, match="the archive is empty"):
        _ = Archive((2,), 1).best


def test_it_can_be_saved(tmp_path: Path):
    archive, path = Archive((2, 2), 3), tmp_path / "archive.safetensors"
    archive.add(torch.rand(2, 3), torch.tensor([[0.1, 0.1], [0.9, 0.1]]), torch.tensor([1.0, 2.0]))
    archive.save(path)
    loaded = Archive.load(path)
    assert loaded.bins == (2, 2)
    for name in ("solutions", "descriptors", "quality"):
        assert torch.equal(getattr(loaded, name), getattr(archive, name))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"archive.safetensors is no archive of solutions"):
        Archive.load(path)


def narrow(solutions: Tensor) -> tuple[Tensor, Tensor]:
    """Described by the mean of the first and second half of its numbers, which lies near 0.5 for even draws; worth the
    more, the more alike the numbers are; invalid where the last number is above 0.9."""
    halves = torch.stack([half.mean(-1) for half in solutions.chunk(2, dim=-1)], dim=-1)
    return halves, torch.where(solutions[:, -1] > 0.9, math.nan, -solutions.std(-1))


def test_variation_fills_more_cells_than_chance_and_is_repeatable():
    config = SearchConfig(first=200, trials=4000, batch=100)
    found = []
    for vary in (True, True, False):
        archive = Archive((10, 10), 16)
        search(narrow, archive, SearchConfig(**{**vars(config), "vary": vary}), seed=3)
        found.append(archive)
    assert torch.equal(found[0].solutions, found[1].solutions)
    assert len(found[0].filled) > 1.5 * len(found[2].filled)
    assert found[0].solutions.min() >= 0.0
    assert found[0].solutions.max() <= 1.0


def test_a_search_in_which_nothing_is_valid_says_so():
    with pytest.raises(ValueError, match="none of the first solutions is valid"):
        search(
            lambda tried: (tried, torch.full((len(tried),), math.nan)), Archive((2,), 1),
            SearchConfig(first=10, trials=20, batch=10), seed=0,
        )  # fmt: skip
