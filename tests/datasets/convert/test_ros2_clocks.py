"""Clocks that differ are told: of each topic, by how much its header stamps are before their arrival."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from made_bags import JOINTS, STATE, Said, joints, options, saying, states, write_bag

from isthmus_datasets.convert.importers.opening import open_source


def late(topic: str, by: float, n: int = 40, then: float | None = None) -> Said:
    """A joint at 30 Hz, received so many ms after its stamps; the second half `then` ms after them."""
    stamps = [round(1000 * k / 30) + 1000 for k in range(n)]
    arrivals = [t + (by if then is None or k < n // 2 else then) for k, t in enumerate(stamps)]
    messages = [(round(at), joints(t, ["a"], [float(t)])) for t, at in zip(stamps, arrivals, strict=True)]
    return topic, JOINTS, sorted(messages, key=lambda message: message[0])


def clocks(path: Path, *said: Said, stamps: Literal["auto", "header", "arrival"] = "auto") -> list[str]:
    """What an import at 30 Hz says of them."""
    topics = {("action" if topic == "/cmd" else f"observation{topic.replace('/', '.')}"): topic for topic, *_ in said}
    source = open_source(write_bag(path, *said), replace(options(topics, fps=30), stamps=stamps))
    return [text for text in source.findings if "clock" in text]


@pytest.mark.parametrize("stamps", ["auto", "header", "arrival"])
@pytest.mark.parametrize("by", [900, 20, -20])
def test_topics_that_differ_by_more_than_half_a_row_are_told_with_their_offsets(
    tmp_path: Path, by: int, stamps: Literal["auto", "header", "arrival"]
):
    """Half a row of 30 Hz is 16.7 ms; 0.9 s are 27 rows."""
    (text,) = clocks(tmp_path / "bag", late("/state", by), late("/cmd", 2), stamps=stamps)
    assert f"/state {by / 1000:.3f} s, /cmd 0.002 s" in text
    assert f"differ by up to {max(by, 2) / 1000 - min(by, 0) / 1000:.3f} s" in text
    assert f"{(max(by, 2) - min(by, 0)) * 0.03:.1f} rows" in text


@pytest.mark.parametrize("stamps", ["auto", "header", "arrival"])
def test_less_than_half_a_row_is_the_way_to_the_recorder(tmp_path: Path, stamps: Literal["auto", "header", "arrival"]):
    assert clocks(tmp_path / "bag", late("/state", 15), late("/cmd", -1), stamps=stamps) == []


def test_a_topic_without_stamps_has_the_bags_clock(tmp_path: Path):
    """Its rows come from arrival, those of the other from headers: they are as far apart as that one's offset."""
    command = saying("/cmd", "Float64", *[(t, 1.0) for t in range(900, 2300, 33)])
    (text,) = clocks(tmp_path / "bag", late("/state", 300), command)
    assert "/state 0.300 s" in text
    assert "9.0 rows" in text
    assert "/cmd" not in text


def test_a_clock_that_steps_is_told_by_both_offsets(tmp_path: Path):
    """A median over all would be one of them."""
    (text,) = clocks(tmp_path / "bag", late("/state", 1, n=80, then=400))
    assert "/state 0.001 to 0.400 s" in text
    assert "12.0 rows" in text


def test_the_clock_of_what_cuts_is_compared_too(tmp_path: Path):
    """By an event that is stamped 0.4 s before it comes an episode begins too early."""
    press = ("/press", JOINTS, [(700, joints(300, [], []))])
    bag = write_bag(tmp_path / "bag", states(41), press, saying("/mark", "Empty", (800, None)))
    source = open_source(bag, replace(options(STATE), episodes=("/press",)))
    assert any("/press 0.400 s" in text and "4.0 rows" in text for text in source.findings)
    source = open_source(bag, replace(options(STATE), episodes=("/mark",)))
    assert not any("clock" in text for text in source.findings)


def test_a_whole_recording_by_another_clock_is_told_where_that_is_asked(tmp_path: Path):
    """Nothing is misaligned, but times of capture are none of the recorder's clock."""
    (text,) = clocks(tmp_path / "bag", late("/state", 5000), late("/cmd", 5001), stamps="header")
    assert "/state 5.000 s, /cmd 5.001 s" in text
