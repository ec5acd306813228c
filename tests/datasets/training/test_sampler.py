"""The order of windows: every one once an epoch, or as often as weights say; resumed in mid-epoch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from counting_dataset import CURRENT, append, windows, write
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import all_refused, refused

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.training.dataset import Batch, Subset, WindowDataset, as_it_is
from isthmus_datasets.training.numbered_random import WindowRandom
from isthmus_datasets.training.prefetch import Prefetch
from isthmus_datasets.training.sampler import Weights, WindowSampler
from isthmus_datasets.training.windows import Goal, WindowConfig

CONFIG = WindowConfig(columns={**CURRENT, "action": (0, 1)}, goal=Goal(columns=("index",)))


def sampler(dataset: WindowDataset, **options: Any) -> WindowSampler:
    return WindowSampler(dataset, **{"batch_size": 4, **options})


def order(batches: Iterable[np.ndarray]) -> list[list[int]]:
    """Numbers of the windows, batch by batch."""
    return [batch[:, 0].tolist() for batch in batches]


def flat(parts: Iterable[Iterable[Any]]) -> list[Any]:
    return list(chain.from_iterable(parts))


def test_order_repeats_for_a_seed_and_differs_between_epochs(reader: DatasetReader):
    dataset = windows(reader)
    one, same, other = sampler(dataset), sampler(dataset), sampler(dataset, seed=1)
    epochs = [order(one) for _ in range(3)]
    assert [len(batch) for batch in epochs[0]] == [4, 4, 3]
    assert epochs == [order(same) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != order(other)
    assert all(sorted(flat(epoch)) == list(range(11)) for epoch in epochs)
    in_order = sampler(dataset, shuffle=False)
    assert flat(order(in_order)) == flat(order(in_order)) == list(range(11))


def test_sizes_that_make_no_batch_are_refused(reader: DatasetReader):
    dataset = windows(reader)
    all_refused(
        {
            "1 window | 0": lambda: sampler(dataset, batch_size=0),
            "0 to 1 | 2": lambda: sampler(dataset, rank=2, world_size=2),
            "11 windows | 12 | 1 rank": lambda: sampler(dataset, batch_size=12, drop_last=True),
            "3 batches | weights": lambda: sampler(dataset, batches=3),
        },
        ValueError,
    )


@settings(max_examples=30, deadline=None)
@given(batch_size=st.integers(1, 12), world_size=st.integers(1, 4), drop_last=st.booleans(), seed=st.integers(0, 9))
def test_ranks_share_an_epoch_evenly(
    reader: DatasetReader, batch_size: int, world_size: int, drop_last: bool, seed: int
):
    size = {"batch_size": min(batch_size, 11 // world_size), "drop_last": drop_last, "seed": seed}
    dataset = windows(reader)
    ranks = [order(sampler(dataset, rank=rank, world_size=world_size, **size)) for rank in range(world_size)]
    each = 11 // world_size
    each -= each % size["batch_size"] if drop_last else 0
    assert [sum(map(len, rank)) for rank in ranks] == [each] * world_size
    seen = flat(flat(ranks))
    assert len(set(seen)) == len(seen), "no window in two ranks"


# ---- weights


def drawn(dataset: WindowDataset, weights: Weights, count: int = 4000) -> np.ndarray:
    """How often each window comes among so many."""
    (batch,) = sampler(dataset, weights=weights, batch_size=count, batches=1)
    return np.bincount(batch[:, 0], minlength=len(dataset)) / count


def test_windows_come_as_often_as_their_episodes_and_steps_weigh(reader: DatasetReader):
    """Windows of 4, 1 and 6 steps: 4 · 1 + 1 · 0 + 3 · 2 in all, since only even steps of the last one count."""
    dataset = windows(reader, WindowConfig(columns={"contact": (0, 0), "frame_index": (0, 0)}))
    weights = Weights(
        episodes=lambda row: float(row.index),
        steps=lambda columns: np.where(columns["contact"][:, 0], 1.0, 0.0),
    )
    expected = np.array([0, 0, 0, 0, 1, 2, 0, 2, 0, 2, 0]) / 7
    found = drawn(dataset, weights)
    assert (found[expected == 0] == 0).all()
    np.testing.assert_allclose(found, expected, atol=0.04)


def test_datasets_have_their_share_however_large_they_are(reader: DatasetReader, tmp_path: Path):
    both = WindowDataset([reader, DatasetReader(write(tmp_path / "one", (1,)))], WindowConfig(columns=CURRENT))
    found = drawn(both, Weights(datasets=(1.0, 3.0)))
    assert found[11] == pytest.approx(0.75, abs=0.03)
    assert drawn(both, Weights())[11] == pytest.approx(1 / 12, abs=0.02)


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (Weights(episodes=lambda row: 0.0), "counting | sum to zero"),
        (Weights(episodes=lambda row: -1.0), "counting | negative"),
        (Weights(episodes=lambda row: float("nan")), "counting | not finite"),
        (Weights(episodes=lambda row: row.index - 1.0), "not finite | -1.0 | episode 0 | step 0"),
        (
            Weights(steps=lambda columns: np.where(columns["index"][:, 0] == 7, np.inf, 1.0)),
            "inf | episode 2 | step 2",
        ),
        (Weights(steps=lambda columns: np.ones(12)), "counting | (12,) | (11,)"),
        (Weights(steps=lambda columns: columns["index"]), "counting | (11, 1) | (11,)"),
        (Weights(episodes=[[1.0]]), "counting | 3 episodes | 1"),
        (Weights(episodes=[[1.0] * 4]), "counting | 3 episodes | 4"),
        (Weights(episodes=[[1.0] * 3] * 2), "1 datasets | 2"),
        (Weights(episodes=lambda row: 1e308), "counting | sum to inf"),
        (Weights(datasets=(1.0, 1.0)), "1 datasets | 2"),
        (Weights(datasets=(-1.0,)), "counting | -1.0"),
        (Weights(datasets=(1.0,), episodes=lambda row: 0.0), "counting | sum to zero | 1"),
    ],
)
def test_weights_that_are_none_are_refused(reader: DatasetReader, weights: Weights, told: str):
    with refused(told, ValueError):
        sampler(windows(reader), weights=weights)


def test_what_comes_in_meanwhile_is_drawn_from_the_next_batch_or_epoch_on(root: Path):
    dataset = windows(DatasetReader(root))
    plain, weighted = sampler(dataset), iter(sampler(dataset, weights=Weights(), batch_size=400, batches=2))
    epoch = iter(plain)
    first = [next(epoch), next(weighted)]
    append(root, 5)
    dataset.refresh()
    assert max(batch[:, 0].max() for batch in first) < 11
    assert next(weighted)[:, 0].max() >= 11
    assert max(flat(order(epoch))) < 11
    assert sorted(flat(order(plain))) == list(range(16))


# ---- going on


@settings(max_examples=40, deadline=None)
@given(
    batch_size=st.integers(1, 6),
    taken=st.integers(0, 30),
    drop_last=st.booleans(),
    weighted=st.booleans(),
    threads=st.integers(0, 2),
    seed=st.integers(0, 3),
)
def test_a_resumed_training_gets_the_remaining_batches(
    reader: DatasetReader, batch_size: int, taken: int, drop_last: bool, weighted: bool, threads: int, seed: int
):
    options = {"batch_size": batch_size, "drop_last": drop_last, "seed": seed}
    options["weights"] = Weights(episodes=lambda row: 1.0 + row.index) if weighted else None
    dataset = windows(reader, CONFIG)
    batches = Prefetch(dataset, sampler(dataset, **options), ahead=3, threads=threads)
    forever = chain.from_iterable(repeat(batches))
    for _ in range(taken):
        next(forever)
    state = json.loads(json.dumps(batches.state_dict()))
    again = windows(reader, CONFIG)
    resumed = Prefetch(again, sampler(again, **options))
    resumed.load_state_dict(state)
    assert state["epoch"] == taken // len(batches)
    expected = [next(forever) for _ in range(len(batches) - taken % len(batches) + 2)]
    for batch, other in zip(chain.from_iterable(repeat(resumed)), expected, strict=False):
        assert same(batch, other)


def same(batch: Batch, other: Batch) -> bool:
    return batch.keys() == other.keys() and all(torch.equal(values, other[name]) for name, values in batch.items())


def test_a_training_on_a_dataset_that_grew_is_resumed_too(root: Path):
    dataset = windows(DatasetReader(root), CONFIG)
    batches = Prefetch(dataset, sampler(dataset))
    assert len(list(batches)) == 3
    append(root, 5, 2)
    dataset.refresh()
    forever = chain.from_iterable(repeat(batches))
    next(forever)
    state, arrivals = batches.state_dict(), dataset.arrivals
    expected = [next(forever) for _ in range(6)]
    append(root, 3)
    again = windows(DatasetReader(root), CONFIG, arrivals=arrivals)
    resumed = Prefetch(again, sampler(again))
    resumed.load_state_dict(state)
    for batch, other in zip(chain.from_iterable(repeat(resumed)), expected, strict=False):
        assert same(batch, other)


def test_the_rest_of_an_epoch_follows_after_a_break(reader: DatasetReader):
    dataset = windows(reader)
    epoch = [batch["index"].ravel().tolist() for batch in Prefetch(dataset, sampler(dataset))]
    batches = Prefetch(dataset, sampler(dataset), ahead=2)
    first = next(iter(batches))["index"].ravel().tolist()
    rest = [batch["index"].ravel().tolist() for batch in batches]
    assert [first, *rest] == epoch, "what was made ahead and not taken comes again"
    assert (batches.state_dict()["epoch"], batches.state_dict()["batch"]) == (1, 0)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"batch_size": 5},
        {"shuffle": False},
        {"drop_last": True},
        {"weights": Weights()},
        {"episodes": [0]},
        {"world_size": 2},
    ],
)
def test_a_state_of_another_order_is_refused(reader: DatasetReader, other: dict):
    state = sampler(windows(reader)).state_dict()
    (name,) = other
    name = "windows" if name == "episodes" else name
    dataset = windows(Subset(reader=reader, episodes=other.pop("episodes", None)))
    with refused(name, ValueError):
        sampler(dataset, **other).load_state_dict(state)


@pytest.mark.parametrize(
    "other",
    [
        {"weights": Weights(episodes=lambda row: 2.0 + row.index, datasets=(1.0,)), "batches": 5},
        {"weights": Weights(episodes=lambda row: 1.0 + row.index), "batches": 5},
        {"weights": Weights(episodes=[[1.0, 2.0, 3.0]], datasets=(2.0,)), "batches": 5},
        {"weights": Weights(steps=lambda columns: columns["index"][:, 0] + 1.0, datasets=(1.0,)), "batches": 5},
        {"weights": None},
        {"batches": 4},
        {"batches": None},
    ],
)
def test_a_state_of_other_weights_or_batches_is_refused(reader: DatasetReader, other: dict):
    same = {"weights": Weights(episodes=lambda row: 1.0 + row.index, datasets=(1.0,)), "batches": 5}
    state = json.loads(json.dumps(sampler(windows(reader), **same).state_dict()))
    sampler(windows(reader), **same).load_state_dict(state)
    listed = Weights(episodes=[[1.0, 2.0, 3.0]], datasets=[1])
    sampler(windows(reader), **same | {"weights": listed}).load_state_dict(state)  # said otherwise, and the same
    with refused(next(iter(other)), ValueError):
        sampler(windows(reader), **same | other if other.get("weights", True) else {}).load_state_dict(state)


def test_weights_of_a_dataset_that_grew_are_known_by_the_windows_that_were_there(root: Path):
    dataset = windows(DatasetReader(root))
    weights = Weights(episodes=lambda row: 1.0 + row.index, datasets=(1.0,))
    state = sampler(dataset, weights=weights, batches=5).state_dict()
    append(root, 5)
    dataset.refresh()
    sampler(dataset, weights=weights, batches=5).load_state_dict(state)


def test_what_is_no_state_is_refused(reader: DatasetReader):
    one = sampler(windows(reader))
    with refused("windows None", ValueError):
        one.load_state_dict({})
    with refused("batch 3 | epoch 0 | 3 batches", ValueError):
        one.load_state_dict(one.state_dict() | {"batch": 3})


# ---- by torch's own loader, and ahead


def test_torchs_loader_gives_the_same_from_processes_of_its_own(reader: DatasetReader):
    config = WindowConfig(columns=CURRENT, cameras={"front": (-1, 0)})
    dataset = windows(reader, config)
    ours = list(Prefetch(dataset, sampler(dataset)))
    options: dict[str, Any] = {"batch_sampler": sampler(dataset), "collate_fn": as_it_is}
    theirs = torch.utils.data.DataLoader(dataset, **options, num_workers=2, multiprocessing_context="spawn")
    assert all(same(batch, other) for batch, other in zip(theirs, ours, strict=True))


@pytest.mark.parametrize(("cuda", "asked", "pinned"), [
    (True, None, True), (False, None, False), (True, False, False), (False, True, True),
])  # fmt: skip
@pytest.mark.parametrize("threads", [0, 1])
def test_batches_are_pinned_where_there_is_cuda_or_it_is_asked_for(
    reader: DatasetReader, monkeypatch: pytest.MonkeyPatch, cuda: bool, asked: bool | None, pinned: bool, threads: int
):
    held: list[int] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        held.append(tensor.data_ptr())
        return tensor

    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    dataset = windows(reader, WindowConfig(columns=CURRENT, cameras={"front": (0, 0)}))
    for batch in Prefetch(dataset, sampler(dataset), threads=threads, pin_memory=asked):
        assert all((values.data_ptr() in held) == pinned for values in batch.values())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
def test_a_gpu_can_fetch_batches(reader: DatasetReader):
    dataset = windows(reader, WindowConfig(columns=CURRENT, cameras={"front": (0, 0)}))
    for batch in Prefetch(dataset, sampler(dataset)):
        assert all(values.is_pinned() for values in batch.values())
        copied = {name: values.to("cuda", non_blocking=True) for name, values in batch.items()}
        torch.cuda.synchronize()
        assert same(batch, {name: values.cpu() for name, values in copied.items()})


def test_what_fails_while_it_is_made_ahead_is_told(reader: DatasetReader):
    def broken(frames: torch.Tensor, random: WindowRandom) -> torch.Tensor:
        raise RuntimeError("no such augmentation")

    dataset = windows(reader, WindowConfig(cameras={"front": (0, 0)}), transform=broken)
    with refused("no such augmentation", RuntimeError):
        list(Prefetch(dataset, sampler(dataset)))
    with refused("0 batches | 1 threads", ValueError):
        Prefetch(dataset, sampler(dataset), ahead=0)
