"""Configurations as JSON: every field comes back, and a wrong key is named."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_policies.algorithms.ppo import PPOConfig
from isthmus_policies.files import code_revision, from_json, write_atomically, write_json
from isthmus_policies.networks.actor_critic import NetworkConfig
from isthmus_policies.training.trainer import TrainConfig


def changed(value: object) -> object:
    """Another value of the same kind, whatever the defaults are."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{f.name: changed(getattr(value, f.name)) for f in dataclasses.fields(value)})
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 3
    if isinstance(value, float):
        return value / 3 + 0.1
    if isinstance(value, tuple):
        return tuple(changed(item) for item in value)
    assert value is None or isinstance(value, str)
    return f"{value} as ünïcode"


def test_every_field_of_a_configuration_comes_back(tmp_path: Path):
    config = changed(TrainConfig(task="quadrotor"))
    write_json(tmp_path / "config.json", config)
    again = from_json(TrainConfig, json.loads((tmp_path / "config.json").read_text()))
    assert again == config
    assert again != TrainConfig(task="quadrotor")
    assert isinstance(again.network, NetworkConfig)
    assert isinstance(again.network.actor, tuple)
    for f in dataclasses.fields(TrainConfig):
        assert type(getattr(again, f.name)) is type(getattr(config, f.name)), f.name


@given(st.builds(PPOConfig, gamma=st.floats(0, 1), learning_rate=st.floats(0, 1), horizon=st.integers(1, 10**9)))
def test_numbers_come_back_exactly(config: PPOConfig):
    assert from_json(PPOConfig, json.loads(json.dumps(dataclasses.asdict(config)))) == config


def test_an_unknown_key_is_named_with_where_and_what_there_is():
    with pytest.raises(ValueError, match=r"TrainConfig: unknown key speed; known: task, engine, model, num_envs"):
        from_json(TrainConfig, {"task": "quadrotor", "speed": 3})
    with pytest.raises(ValueError, match=r"ppo: unknown key lamda; known: horizon"):
        from_json(TrainConfig, {"task": "quadrotor", "ppo": {"lamda": 0.9}})


def test_a_number_for_a_list_is_named():
    with pytest.raises(ValueError, match=r"network\.actor: expected a list, got 64"):
        from_json(TrainConfig, {"task": "quadrotor", "network": {"actor": 64}})


@dataclass(frozen=True, kw_only=True)
class WithPaths:
    here: Path
    there: Path | None = None
    names: tuple[str, ...] = field(default_factory=tuple)


@pytest.mark.parametrize("value", [WithPaths(here=Path("a")), WithPaths(here=Path("a"), there=Path("b"), names=("c",))])
def test_paths_and_nothing_come_back(tmp_path: Path, value: WithPaths):
    write_json(tmp_path / "x.json", value)
    assert from_json(WithPaths, json.loads((tmp_path / "x.json").read_text())) == value


def test_what_has_no_json_form_is_refused(tmp_path: Path):
    with pytest.raises(TypeError, match="set has no JSON form"):
        write_json(tmp_path / "x.json", {"a": {1, 2}})
    assert list(tmp_path.iterdir()) == []


def test_a_reader_never_sees_half_a_file(tmp_path: Path):
    """The old file stays under its name until the new one is whole: a reader that holds it open reads all of it."""
    path = tmp_path / "file"
    write_atomically(path, b"old" * 1000)
    with path.open("rb") as reader:
        write_atomically(path, b"new")
        assert reader.read() == b"old" * 1000
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_code_names_its_revision():
    assert len(code_revision()) >= 7
