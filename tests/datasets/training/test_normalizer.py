"""Scaling: golden numbers, back again, what cannot be scaled, files, graphs."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime
import pytest
import torch
from counting_dataset import whole, windows
from hypothesis import given
from hypothesis import strategies as st
from refusals import all_refused, refused

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.training.dataset import Subset
from isthmus_datasets.training.normalizer import MODES, Constant, Mode, Normalizer
from isthmus_datasets.training.windows import Goal, WindowConfig

# Steps of the episodes of 4, 1 and 6: 0 1 2 3, 0, 0 1 2 3 4 5. "action" is (episode, step).


def test_golden_numbers(reader: DatasetReader):
    fitted = {mode: Normalizer.fit(reader, {"action": mode}) for mode in MODES}
    assert fitted["min_max"].normalize("action", torch.tensor([[0.0, 0.0], [2.0, 5.0], [1.0, 2.5]])).tolist() == [
        [-1.0, -1.0],
        [1.0, 1.0],
        [0.0, 0.0],
    ]
    assert fitted["mean_std"].offset("action").tolist() == pytest.approx([13 / 11, 21 / 11])
    assert fitted["mean_std"].scale("action")[1].item() == pytest.approx((69 / 11 - (21 / 11) ** 2) ** 0.5)
    # 1 % and 99 % of 0 0 0 1 1 2 2 3 3 4 5, between which numbers are interpolated: 0 and 4.9.
    assert fitted["quantile"].scale("action")[1].item() == pytest.approx(2.45)
    assert fitted["quantile"].offset("action")[1].item() == pytest.approx(2.45)


def test_only_the_chosen_episodes_count(reader: DatasetReader):
    for chosen in ([0], lambda row: row.index == 0):
        fitted = Normalizer.fit(Subset(reader=reader, episodes=chosen), {"frame_index": "min_max"})
        assert fitted.scale("frame_index").tolist() == [1.5]
    two = Normalizer.fit(
        [Subset(reader=reader, episodes=[1]), Subset(reader=reader, episodes=[0])], {"index": "min_max"}
    )
    assert (two.offset("index").tolist(), two.scale("index").tolist()) == ([2.0], [2.0])


@given(mode=st.sampled_from(MODES), value=st.floats(-1e3, 1e3, width=32))
def test_there_and_back(reader: DatasetReader, mode: Mode, value: float):
    fitted = Normalizer.fit(reader, {"action": mode})
    values = torch.full((3, 2), value)
    assert torch.allclose(fitted.unnormalize("action", fitted.normalize("action", values)), values, atol=1e-3)


def test_an_element_that_never_changes_is_refused_by_name_or_kept(reader: DatasetReader):
    one = Subset(reader=reader, episodes=[2])
    with refused("counting | 'action' never changes | 0"):
        Normalizer.fit(one, {"action": "min_max"})
    kept = Normalizer.fit(one, {"action": "min_max"}, constant="keep")
    assert kept.normalize("action", torch.tensor([2.0, 5.0])).tolist() == [0.0, 1.0]


def test_what_cannot_be_fitted_is_refused(reader: DatasetReader):
    zero, modes = {"a": torch.zeros(1)}, cast(dict[str, Mode], {"a": "log"})
    no_rows, beyond = (Subset(reader=reader, episodes=episodes) for episodes in ([], [0, 3]))
    kept = cast(Constant, "kept")
    all_refused(
        {
            "'said'": lambda: Normalizer.fit(reader, {"said": "min_max"}),
            "'action' | no row": lambda: Normalizer.fit(no_rows, {"action": "min_max"}),
            "at least one dataset": lambda: Normalizer.fit([], {"action": "min_max"}),
            "refuse | keep | 'kept'": lambda: Normalizer.fit(reader, {"action": "min_max"}, constant=kept),
            "'a' | 'log' | min_max, mean_std, quantile": lambda: Normalizer(modes, zero, {"a": torch.ones(1)}),
            "'a' | positive": lambda: Normalizer({"a": "min_max"}, zero, zero),
        },
        ValueError,
    )
    with refused("counting | 3 episodes | [0, 3]", IndexError):
        Normalizer.fit(beyond, {"action": "min_max"})


def test_a_batch_is_scaled_where_it_is_known_goals_too(reader: DatasetReader):
    config = WindowConfig(columns={"action": (-1, 1), "contact": (0, 0)}, goal=Goal(columns=("action",)))
    batch = {name: torch.from_numpy(values) for name, values in whole(windows(reader, config)).items()}
    scaled = Normalizer.fit(reader, {"action": "min_max"})(batch)
    assert scaled.keys() == batch.keys()
    assert (scaled["action"].abs().max(), scaled["goal.action"].abs().max()) == (1.0, 1.0)
    assert torch.equal(scaled["contact"], batch["contact"])
    assert torch.equal(scaled["action_is_pad"], batch["action_is_pad"])
    of_bools = Normalizer.fit(reader, {"contact": "min_max"})(batch)["contact"]
    assert torch.equal(of_bools, torch.where(batch["contact"], 1.0, -1.0))


def test_a_file_and_back(reader: DatasetReader, tmp_path: Path):
    fitted = Normalizer.fit(reader, {"action": "quantile", "frame_index": "mean_std"})
    fitted.save(tmp_path / "normalizer.safetensors")
    again = Normalizer.load(tmp_path / "normalizer.safetensors")
    assert again.modes == fitted.modes
    assert all(torch.equal(values, again.state_dict()[name]) for name, values in fitted.state_dict().items())
    (tmp_path / "other").write_bytes(b"not that")
    with refused("other | normalizer", ValueError):
        Normalizer.load(tmp_path / "other")


def test_it_is_part_of_an_exported_graph(reader: DatasetReader):
    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.normalizer = Normalizer.fit(reader, {"action": "mean_std"})

        def forward(self, action: torch.Tensor) -> torch.Tensor:
            return self.normalizer.unnormalize("action", self.normalizer.normalize("action", action) * 2.0)

    network, example = Network(), torch.tensor([[1.0, 3.0], [0.0, 4.0]])
    program = torch.onnx.export(network, (example,), dynamo=True, verbose=False)
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (name,) = (each.name for each in session.get_inputs())
    (found,) = session.run(None, {name: example.numpy()})
    np.testing.assert_allclose(np.asarray(found), network(example).numpy(), rtol=1e-6)
