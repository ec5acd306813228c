"""Windows cut at an episode's ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from counting_dataset import CURRENT, LENGTHS, whole, windows
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.training.dataset import Subset
from isthmus_datasets.training.windows import Goal, Mask, WindowConfig


def test_first_and_last_row_stand_beyond_the_ends(reader: DatasetReader):
    config = WindowConfig(columns={"action": (-2, 1), "contact": (0, 0), "frame_index": (1, 2)})
    batch = whole(windows(reader, config))
    actions, is_pad = batch["action"], batch["action_is_pad"]
    assert (actions.shape, actions.dtype, is_pad.shape, is_pad.dtype) == ((11, 4, 2), np.float32, (11, 4), np.bool_)
    assert actions[:, :, 1].tolist() == [
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
    assert (actions[:, :, 0] == np.repeat([0, 1, 2], LENGTHS)[:, None]).all(), "no row of another episode"
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


def test_an_episode_shorter_than_a_window_is_named(reader: DatasetReader):
    config = WindowConfig(columns={"action": (0, 3)}, pad_after=0)
    with refused("counting | episode 1 | 1 rows | action"):
        windows(reader, config)
    batch = whole(windows(Subset(reader=reader, episodes=[0, 2]), config))
    assert batch["action"][:, 0].tolist() == [[0, 0], [2, 0], [2, 1], [2, 2]]
    assert not batch["action_is_pad"].any()


def test_a_mask_says_which_rows_count(reader: DatasetReader):
    config = WindowConfig(columns=CURRENT, masks={"even": Mask(column="contact", values=(True,), offsets=(-1, 1))})
    assert whole(windows(reader, config))["even"][:5].tolist() == [
        [False, True, False],  # beyond the end none counts
        [True, False, True],
        [False, True, False],
        [True, False, False],
        [False, True, False],
    ]


@given(least=st.integers(0, 3), more=st.none() | st.integers(0, 3), draw=st.integers(0, 2**63 - 1))
def test_a_goal_is_a_later_moment_of_the_same_episode(reader: DatasetReader, least: int, more: int | None, draw: int):
    goal = Goal(columns=("action",), cameras=("front",), least=least, most=None if more is None else least + more)
    dataset = windows(reader, WindowConfig(columns={"action": (0, 0)}, goal=goal))
    batch = dataset.batch(np.arange(11), np.full(11, draw) + np.arange(11))
    now, then, steps = batch["action"][:, 0], batch["goal.action"], batch["goal.steps"]
    left = torch.tensor([length - 1 - step for length in LENGTHS for step in range(length)])
    assert (then - now).tolist() == [[0.0, step] for step in steps.tolist()]
    assert (steps <= left).all()
    assert (steps >= left.clamp(max=least)).all()
    assert more is None or (steps <= least + more).all()
    first = dataset.batch(np.arange(11), np.full(11, draw) + np.arange(11))
    assert torch.equal(first["goal.front"], batch["goal.front"]), "the same draw is the same goal"


def test_goals_differ_from_draw_to_draw_and_reach_every_later_step(reader: DatasetReader):
    dataset = windows(reader, WindowConfig(columns=CURRENT, goal=Goal(columns=("action",))))
    steps = dataset.batch(np.full(600, 5), np.arange(600))["goal.steps"]
    counts = torch.bincount(steps, minlength=6).tolist()
    assert counts[0] == 0
    assert min(counts[1:]) > 80, "of 600 draws, 120 for each of five steps"


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
    steps = config.current_steps(length)
    for name, (first, last) in config.columns.items():
        rows = [[min(max(step + n, 0), length - 1) for n in range(first, last + 1)] for step in steps]
        expected = reference_windows(length, predicted, observed - 1, executed - 1)
        assert rows == [row[: last - first + 1] for row in expected], name


def test_the_reference_settings_leave_an_episodes_last_7_steps_out():
    assert WindowConfig.diffusion(observations=["s"]).current_steps(100) == range(93)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "column | camera"),
        ({"columns": {"action": (1, 0)}}, "'action' | (1, 0)"),
        ({"cameras": {"front": (0, -1)}}, "'front' | (0, -1)"),
        ({"columns": CURRENT, "pad_after": -1}, "negative"),
        ({"columns": CURRENT, "masks": {"x": Mask(column="c", values=(1,), offsets=(1, 0))}}, "'x' | (1, 0)"),
    ],
)
def test_windows_that_hold_nothing_are_refused(config: dict, told: str):
    with refused(told, ValueError):
        WindowConfig(**config)


def test_a_mask_says_of_one_number_and_takes_no_other_name(reader: DatasetReader):
    of_two = Mask(column="action", values=(1.0,), offsets=(0, 0))
    with refused("counting | 'drove' | 'action' | (2,)"):
        windows(reader, WindowConfig(columns=CURRENT, masks={"drove": of_two}))
    with refused("'index'", ValueError):
        WindowConfig(columns=CURRENT, masks={"index": of_two})


def test_goals_that_are_none_are_refused():
    with refused("column | camera", ValueError):
        Goal()
    with refused("3 to 2 steps", ValueError):
        Goal(columns=("action",), least=3, most=2)
