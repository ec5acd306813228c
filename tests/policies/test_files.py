"""Configurations as JSON: every field comes back, and a wrong key is named."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_policies.files import code_revision, from_json, plain, write_atomically, write_json


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of some parts."""

    gain: float = 1.0
    kind: Literal["plain", "ünïcode"] = "plain"


A = TypeVar("A")


@dataclass(frozen=True, kw_only=True)
class Whole(Generic[A]):
    """Everything that a configuration is made of."""

    part: A
    flag: bool = False
    steps: int | None = 3
    ranges: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    pair: tuple[int, str] = (1, "a")
    parts: dict[str, Part] = field(default_factory=dict)
    maybe: Part | None = None
    gains: list[float] = field(default_factory=lambda: [1.0])
    names: Sequence[str] = ()
    shares: Mapping[str, float] = field(default_factory=dict)


FULL = Whole(
    part=Part(gain=1 / 3), flag=True, steps=None, ranges=((0.1, 0.2), (-1.0, 1e-300)), pair=(7, "ü"),
    parts={"left": Part(kind="ünïcode")}, maybe=Part(gain=2.0),
    gains=[0.5, 2.0], names=("a", "b"), shares={"left": 0.25},
)  # fmt: skip


def read_back(value: Whole[Part], **changes: object) -> Whole[Part]:
    """As it is after a way through JSON, with some keys changed."""
    return from_json(Whole[Part], json.loads(json.dumps(plain(value) | changes)))


@pytest.mark.parametrize("value", [FULL, Whole(part=Part())])
def test_every_field_of_a_configuration_comes_back(value: Whole[Part], tmp_path: Path):
    write_json(tmp_path / "config.json", value)
    again = from_json(Whole[Part], json.loads((tmp_path / "config.json").read_text()))
    assert again == value
    for f in dataclasses.fields(value):
        assert type(getattr(again, f.name)) is type(getattr(value, f.name)), f.name


@given(st.floats(allow_nan=False), st.integers(-(10**18), 10**18))
def test_numbers_come_back_exactly(gain: float, steps: int):
    value = Whole(part=Part(gain=gain), steps=steps)
    assert read_back(value) == value


def test_a_whole_number_is_a_float_where_one_is_expected():
    again = read_back(FULL, part={"gain": 2, "kind": "plain"})
    assert isinstance(again.part.gain, float)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"speed": 3}, "Whole: unknown key speed; valid are exactly: part, flag, steps"),
        ({"part": {"gain": 1.0, "kind": "plain", "size": 2}}, "part: unknown key size; valid are exactly: gain, kind"),
        ({"part": {"gain": 1.0}}, "part: missing key kind; valid are exactly: gain, kind"),
        ({"parts": {"left": {"gain": 1.0}}}, r"parts\.left: missing key kind"),
        ({"part": 3}, "part: expected an object with gain, kind; got 3"),
        ({"part": {"gain": "1", "kind": "plain"}}, r"part\.gain: expected float, got '1'"),
        ({"part": {"gain": 1.0, "kind": "fancy"}}, r"part\.kind: 'fancy' is none of 'plain', 'ünïcode'"),
        ({"ranges": 3}, "ranges: expected a list, got 3"),
        ({"ranges": [[1.0]]}, r"ranges\[0\]: expected 2 values, got \[1\.0\]"),
        ({"steps": 1.5}, "steps: expected int, got 1.5"),
        ({"flag": 1}, "flag: expected bool, got 1"),
        ({"maybe": {"gain": 1.0}}, "maybe: missing key kind"),
        ({"parts": []}, "parts: expected an object"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_what_is_valid(changes: dict, told: str):
    with pytest.raises(ValueError, match=told):
        read_back(FULL, **changes)


def test_a_missing_key_is_not_filled_with_todays_default():
    value = plain(FULL)
    del value["steps"]
    with pytest.raises(ValueError, match="missing key steps"):
        from_json(Whole[Part], value)


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
