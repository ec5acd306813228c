"""Windows cut at an episode's ends."""

from __future__ import annotations

import numpy as np
import pytest
from counting_dataset import CURRENT, LENGTHS, load, whole
from hypothesis import given
from hypothesis import strategies as st

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.training.windows import WindowConfig, Windows


def test_first_and_last_row_stand_beyond_the_ends(reader: DatasetReader):
    config = WindowConfig(columns={"action": (-2, 1), "contact": (0, 0), "frame_index": (1, 2)})
    batch = whole(load(reader, config, shuffle=False))
    windows, is_pad = batch["action"], batch["action_is_pad"]
    assert (windows.shape, windows.dtype, is_pad.shape, is_pad.dtype) == ((11, 4, 2), np.float64, (11, 4), np.bool_)
    assert windows[:, :, 1].tolist() == [
        [0, 0, 0, 1],
        [0, 0, 1, 2],
        [0, 1, 2, 3],
        [1, 2, 3, 3],
        [0, 0, 0, 0],  # of the only step of episode 1
        [0, 0, 0, 1],
        [0, 0, 1, 2],
        [0, 1, 2, 3],
        [1, 2, 3, 4],
        [2, 3, 4, 5],
        [3, 4, 5, 5],
    ]
    assert (windows[:, :, 0] == np.repeat([0, 1, 2], LENGTHS)[:, None]).all(), "no row of another episode"
    assert is_pad[:5].tolist() == [
        [True, True, False, False],
        [True, False, False, False],
        [False, False, False, False],
        [False, False, False, True],
        [True, True, False, True],
    ]
    assert batch["contact"].dtype == np.bool_
    assert batch["contact"][:, 0, 0].tolist() == [1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0]
    assert batch["frame_index"][:4, :, 0].tolist() == [[1, 2], [2, 3], [3, 3], [3, 3]]
    assert batch["frame_index_is_pad"][:4].tolist() == [[False, False], [False, False], [False, True], [True, True]]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(None, None, range(6)), (0, 0, range(2, 5)), (1, 0, range(1, 5)), (2, 1, range(6)), (9, 9, range(6))],
)
def test_padding_bounds_which_steps_are_current(before: int | None, after: int | None, expected: range):
    config = WindowConfig(columns={"action": (0, 1)}, cameras={"front": (-2, 0)}, pad_before=before, pad_after=after)
    assert config.current_steps(6) == expected


def test_episodes_shorter_than_a_window_have_none(reader: DatasetReader):
    windows = whole(load(reader, WindowConfig(columns={"action": (0, 3)}, pad_after=0)))
    assert sorted(windows["action"][:, 0].tolist()) == [[0, 0], [2, 0], [2, 1], [2, 2]]
    assert not windows["action_is_pad"].any()


def reference_windows(length: int, horizon: int, pad_before: int, pad_after: int) -> list[list[int]]:
    """What diffusion policy's create_indices and sample_sequence give: rows of each window."""
    return [
        [min(max(row, 0), length - 1) for row in range(start, start + horizon)]
        for start in range(-pad_before, length - horizon + pad_after + 1)
    ]


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 8), st.integers(0, 8))
def test_windows_are_those_of_diffusion_policy(length: int, observed: int, executed: int, more: int):
    predicted = observed + executed - 1 + more
    config = WindowConfig.diffusion(observations=["s"], observed=observed, predicted=predicted, executed=executed)
    expected = reference_windows(length, predicted, observed - 1, executed - 1)
    if not expected:
        with pytest.raises(ValueError, match="no step of 1 episodes has a window"):
            Windows(config, [length])
        return
    windows = Windows(config, [length])
    chosen = np.arange(len(windows))
    assert windows.rows(chosen, config.columns["action"])[0].tolist() == expected
    assert windows.rows(chosen, config.columns["s"])[0].tolist() == [rows[:observed] for rows in expected]


def test_the_reference_settings_leave_an_episodes_last_7_steps_out():
    assert WindowConfig.diffusion(observations=["s"]).current_steps(100) == range(93)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "at least one column or camera"),
        ({"columns": {"action": (1, 0)}}, r"'action': offsets \(1, 0\) hold no row"),
        ({"cameras": {"front": (0, -1)}}, r"'front': offsets \(0, -1\) hold no row"),
        ({"columns": CURRENT, "pad_after": -1}, "must not be negative"),
    ],
)
def test_windows_that_hold_nothing_are_refused(config: dict, message: str):
    with pytest.raises(ValueError, match=message):
        WindowConfig(**config)
