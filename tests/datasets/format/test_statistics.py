"""Statistics: numbers worked out by hand, and parts put together give the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from isthmus_datasets.format.statistics import (
    QUANTILES,
    aggregate,
    column_statistics,
    from_json,
    image_statistics,
    sampled,
    to_json,
)


def test_a_column():
    got = column_statistics(np.array([[0.0, 10], [1, 10], [2, 10], [3, 10]], np.float32))
    assert {name: value.tolist() for name, value in got.items() if name not in ("std", "q01", "q99")} == {
        "min": [0, 10],
        "max": [3, 10],
        "mean": [1.5, 10],
        "count": [4],
        "q10": pytest.approx([0.3, 10]),
        "q50": [1.5, 10],
        "q90": pytest.approx([2.7, 10]),
    }
    assert got["std"] == pytest.approx([np.sqrt(1.25), 0])
    assert got["q01"] == pytest.approx([0.03, 10])
    assert got["q99"] == pytest.approx([2.97, 10])


def test_truth_values_and_nanoseconds():
    assert column_statistics(np.array([[True], [False], [True], [True]]))["mean"] == [0.75]
    start = 1_700_000_000_000_000_000
    got = column_statistics(start + np.array([[0], [100_000_000], [200_000_000]]))
    assert got["std"] == pytest.approx([81_649_658], rel=1e-4)


def test_images():
    """Red is 0 in one image and 255 in the other; green 51 in both; blue 0, 85, 170, 255 in quarters."""
    images = np.zeros((2, 4, 4, 3), np.uint8)
    images[1, ..., 0] = 255
    images[..., 1] = 51
    images[..., 2] = np.array([0, 85, 170, 255])
    got = image_statistics(images)
    assert all(value.shape == (3, 1, 1) for name, value in got.items() if name != "count")
    assert got["count"] == [2]
    assert got["min"].ravel() == pytest.approx([0, 0.2, 0])
    assert got["max"].ravel() == pytest.approx([1, 0.2, 1])
    assert got["mean"].ravel() == pytest.approx([0.5, 0.2, 0.5])
    assert got["std"].ravel() == pytest.approx([0.5, 0, np.sqrt(5) / 6])
    assert got["q10"].ravel() == pytest.approx([0, 0.2, 0])
    assert got["q90"].ravel() == pytest.approx([1, 0.2, 1])


def test_a_large_image_is_thinned_out():
    assert image_statistics(np.full((1, 480, 640, 3), 255, np.uint8))["mean"].ravel() == pytest.approx(1)


def test_which_images_are_looked_at():
    assert sampled(3).tolist() == [0, 1, 2]
    many = sampled(1000)
    assert (len(many), many[0], many[-1]) == (100, 0, 999)
    assert len(set(many.tolist())) == 100


PARTS = st.lists(
    st.integers(1, 5).flatmap(lambda n: hnp.arrays(np.float64, (n, 2), elements=st.floats(-1e3, 1e3))),
    min_size=1,
    max_size=5,
)


@given(PARTS)
def test_parts_give_the_whole(parts: list[np.ndarray]):
    each = [{"a": column_statistics(part)} for part in parts]
    together, whole = aggregate(each)["a"], column_statistics(np.concatenate(parts))
    for name in ("min", "max", "mean", "std", "count"):
        np.testing.assert_allclose(together[name], whole[name], atol=1e-9)
    one_by_one = each[0]
    for part in each[1:]:
        one_by_one = aggregate([one_by_one, part])
    for name, value in one_by_one["a"].items():
        np.testing.assert_allclose(value, together[name], atol=1e-9)


def test_quantiles_enclose_those_of_all_parts_and_the_median_is_weighted_by_count():
    one, two = (column_statistics(np.full((n, 1), value)) for n, value in [(1, 0.0), (3, 4.0)])
    together = aggregate([{"a": one}, {"a": two}])["a"]
    found = {name: together[name].tolist() for name in QUANTILES}
    assert found == {"q01": [0.0], "q10": [0.0], "q50": [3.0], "q90": [4.0], "q99": [4.0]}


def test_one_wide_episode_among_many_narrow_ones_keeps_its_quantiles():
    """An average said 14 where the data reach 50, and a policy saw actions three times its range."""
    narrow, wide = (column_statistics(np.linspace(-end, end, n)[:, None]) for n, end in [(900, 10.0), (100, 50.0)])
    together = aggregate([{"a": narrow}, {"a": wide}])["a"]
    assert together["q99"] == wide["q99"]
    assert together["q01"] == wide["q01"]


def test_what_one_part_lacks_is_left_out():
    whole = {"a": column_statistics(np.ones((2, 1))), "b": column_statistics(np.ones((2, 1)))}
    short = {"a": {name: value for name, value in whole["a"].items() if name != "q01"}}
    got = aggregate([whole, short])
    assert list(got) == ["a"]
    assert "q01" not in got["a"]
    assert "q99" in got["a"]
    assert aggregate([]) == {}


def test_json_and_back():
    statistics = {"a": column_statistics(np.random.default_rng(0).random((9, 2, 3)))}
    got = from_json(to_json(statistics))
    assert all((got["a"][name] == value).all() for name, value in statistics["a"].items())


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1}'])
def test_other_content_is_refused(content: bytes):
    with pytest.raises(ValueError, match=r"Expecting value|not an object"):
        from_json(content)
