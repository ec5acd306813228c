"""A ROS 2 bag cut into episodes: at pauses, by what a topic says, at events; and what became of its readings.

A joint's position is its time in ms, so rows tell when they were taken.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_command import run
from made_bags import (
    BOTH,
    JOINTS,
    MS,
    START,
    STATE,
    STORE,
    Said,
    header,
    image,
    joints,
    make,
    moving,
    options,
    saying,
    write_bag,
)
from refusals import refused
from rosbags.rosbag2 import StoragePlugin, Writer
from written import imported

from isthmus_datasets.convert.importers.opening import open_source
from isthmus_datasets.convert.importers.source import ImportOptions, Source
from isthmus_datasets.format.reader import DatasetReader

BAGS = Path(__file__).parents[3].parent / "shared" / "data" / "ros2_bags"
needs_bags = pytest.mark.skipif(not BAGS.exists(), reason=f"the recorded bags are not at {BAGS}")
SECONDS = range(0, 2001, 50)
"""ms: two seconds at 20 Hz."""


def cut(*episodes: str, gap_s: float | None = None, topics: dict[str, str] = STATE, fps: int = 20) -> ImportOptions:
    return replace(options(topics, fps=fps), episodes=episodes, gap_s=gap_s)


def rows(source: Source, feature: str = "observation.state") -> list[list[float]]:
    """What each episode has in a feature's first element."""
    return [episode.columns[feature][:, 0].tolist() for episode in source.episodes]


def ms(first: int, last: int, every: int = 50) -> list[float]:
    return [float(t) for t in range(first, last + 1, every)]


def test_a_pause_ends_an_episode(tmp_path: Path):
    """Of any observed topic: no row lies in a pause, or has a reading from before it. A command may pause."""
    state = moving(range(0, 501, 50), range(1500, 2501, 50))
    other = moving(range(0, 1801, 50), range(2200, 2501, 50), topic="/other")
    bag = write_bag(tmp_path / "bag", state, other, moving([0, 2500], topic="/cmd"))
    topics = {**BOTH, "observation.other": "/other"}
    source = open_source(bag, cut(gap_s=0.3, topics=topics))
    assert len(source.episodes) == 3
    assert rows(source) == [ms(0, 500), ms(1500, 1800), ms(2200, 2500)]
    assert rows(source, "observation.other") == rows(source)
    assert [episode.facts for episode in source.episodes] == [
        {"bag": "bag", "start_ns": START + t * MS} for t in (0, 1500, 2200)
    ]
    assert len(open_source(bag, cut(gap_s=5.0, topics=topics)).episodes) == 1
    assert len(open_source(bag, options(topics)).episodes) == 1


@pytest.mark.parametrize(
    ("kind", "values", "wanted"),
    [
        ("Bool", (False, True), "true"),
        ("Bool", (False, True), "1"),
        ("Int32", (0, 2), "2"),
        ("Float64", (0.0, 2.5), "2.50"),
        ("String", ("idle", "running"), "running"),
    ],
)
def test_an_episode_lasts_as_long_as_a_field_has_a_value(
    tmp_path: Path, kind: str, values: tuple[Any, Any], wanted: str
):
    """The first message that says it begins one, the first that says something else ends it, or the bag's end."""
    off, on = values
    said = saying("/mode", kind, (0, off), (300, on), (400, on), (800, off), (1100, off), (1500, on))
    bag = write_bag(tmp_path / "bag", moving(SECONDS), said)
    assert rows(open_source(bag, cut(f"/mode:data={wanted}"))) == [ms(300, 750), ms(1500, 2000)]


def test_each_event_ends_an_episode_and_begins_one(tmp_path: Path):
    """Before the first one nobody has started anything."""
    events = saying("/start", "Empty", (400, None), (1000, None))
    bag = write_bag(tmp_path / "bag", moving(SECONDS), events, saying("/reset", "Empty", (1500, None)))
    assert rows(open_source(bag, cut("/start"))) == [ms(400, 950), ms(1000, 2000)]
    assert rows(open_source(bag, cut("/start", "/reset"))) == [ms(400, 950), ms(1000, 1450), ms(1500, 2000)]


def test_events_have_the_time_of_their_stamp(tmp_path: Path):
    """As readings have: this one came 200 ms after it was made."""
    press = ("/press", JOINTS, [(700, joints(500, [], []))])
    bag = write_bag(tmp_path / "bag", moving(SECONDS), press)
    assert rows(open_source(bag, cut("/press"))) == [ms(500, 2000)]
    (taken,) = rows(open_source(bag, replace(cut("/press"), stamps="arrival")))
    assert taken[:3] == [650, 700, 750], "what the bag received at 655, which is the newest at 700, and so on"


def test_a_call_of_a_service_is_an_event(tmp_path: Path):
    """Recorded as ROS 2 does it: defined by a .srv file. A call's response, which may take long, is none."""
    definition = "=" * 80 + "\nSRV: std_srvs/srv/Trigger\n---\nbool success\nstring message\n"
    requested, answered = 1, 2
    calls = [(400, requested), (900, answered), (1200, requested), (1210, answered)]
    topic, kind, messages = moving(SECONDS)
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        state = writer.add_connection(topic, kind, typestore=STORE)
        kind_called, digest = "std_srvs/srv/Trigger_Event", "RIHS01_" + "0" * 64
        called = writer.add_connection("/go/_service_event", kind_called, msgdef=definition, rihs01=digest)
        for t, message in messages:
            writer.write(state, START + t * MS, STORE.serialize_cdr(message, kind))
        for t, what in calls:
            writer.write(called, START + t * MS, bytes([0, 1, 0, 0, what]) + bytes(60))
    source = open_source(tmp_path / "bag", cut("/go/_service_event"))
    assert rows(source) == [ms(400, 1150), ms(1200, 2000)]


def diagnostics(*said: tuple[int, str, dict[str, str]]) -> Said:
    """At so many ms: who says what."""
    kind = "diagnostic_msgs/msg/DiagnosticArray"
    messages = []
    for t, name, values in said:
        pairs = [make("diagnostic_msgs/msg/KeyValue", key=key, value=value) for key, value in values.items()]
        about = {"level": 0, "name": name, "message": "", "hardware_id": "arm"}
        status = make("diagnostic_msgs/msg/DiagnosticStatus", values=pairs, **about)
        messages.append((t, make(kind, header=header(t), status=[status])))
    return "/diagnostics", kind, messages


def test_the_policy_nodes_state_cuts(tmp_path: Path):
    """It says it among its diagnostics, between those of others."""
    policy, motor = "policy_node: policy", "motor"
    said = [(0, policy, "idle"), (300, policy, "running"), (1000, policy, "stopped"), (1500, policy, "running")]
    others = diagnostics(*[(t, motor, {"state": "warm", "volts": "24"}) for t in range(100, 2000, 200)])
    topic, kind, messages = diagnostics(*[(t, name, {"state": state, "cause": ""}) for t, name, state in said])
    both = sorted([*messages, *others[2]], key=lambda message: message[0])
    bag = write_bag(tmp_path / "bag", moving(SECONDS), (topic, kind, both))
    expected = [ms(300, 950), ms(1500, 2000)]
    assert rows(open_source(bag, cut(f"/diagnostics:status.{policy}.state=running"))) == expected
    with refused("motor, policy_node: policy"):
        open_source(bag, cut("/diagnostics:status.state=running"))
    with refused("status.cause, status.state, status.volts"):
        open_source(bag, cut("/diagnostics:status.mode=running"))
    alone = write_bag(tmp_path / "alone", moving(SECONDS), (topic, kind, messages))
    assert rows(open_source(alone, cut("/diagnostics:status.state=running"))) == expected


def test_all_that_is_said_holds(tmp_path: Path):
    """Armed and running, from event to event, without pauses."""
    bag = write_bag(
        tmp_path / "bag",
        moving(range(0, 1401, 50), range(1800, 3001, 50)),
        saying("/mode", "String", (0, "idle"), (200, "running"), (2500, "idle")),
        saying("/armed", "Bool", (0, False), (400, True)),
        saying("/next", "Empty", (100, None), (1000, None), (2200, None)),
    )
    source = open_source(bag, cut("/mode:data=running", "/next", "/armed:data=true", gap_s=0.3))
    assert rows(source) == [ms(400, 950), ms(1000, 1400), ms(1800, 2150), ms(2200, 2450)]


def test_spans_without_two_ticks_are_left_out_and_named(tmp_path: Path):
    """Ticks are 50 ms: 60 ms are too short. Before the second topic begins, there is nothing to make rows of."""
    events = saying("/next", "Empty", (0, None), (400, None), (1000, None), (1060, None))
    bag = write_bag(tmp_path / "bag", moving(SECONDS), moving(range(500, 2001, 50), topic="/cmd"), events)
    source = open_source(bag, cut("/next", topics=BOTH))
    assert rows(source) == [ms(500, 950), ms(1050, 1950)], "at 1060 ms the reading of 1050 holds"
    assert any("0.00 to 0.40 s, 1.00 to 1.06 s" in finding for finding in source.findings)


def test_where_nothing_is_left_the_values_that_there_were_are_named(tmp_path: Path):
    modes = saying("/mode", "String", (0, "idle"), (500, "standby"))
    bag = write_bag(tmp_path / "bag", moving(SECONDS), modes)
    with refused("bag | /mode:data | running | idle, standby"):
        open_source(bag, cut("/mode:data=running"))
    with refused("bag | observation.state | 40 times | 0.01 s"):
        open_source(bag, cut(gap_s=0.01))


def test_a_bag_of_which_nothing_is_left_is_named_among_others(tmp_path: Path):
    for name, mode in (("a", "running"), ("b", "idle"), ("c", "running")):
        write_bag(tmp_path / "bags" / name, moving(SECONDS), saying("/mode", "String", (1000, mode)))
    source = open_source(tmp_path / "bags", cut("/mode:data=running"))
    assert [(episode.facts["bag"], episode.length) for episode in source.episodes] == [("a", 21), ("c", 21)]
    assert any(finding.startswith("b: ") and "idle" in finding for finding in source.findings)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (cut("/nope"), "/nope | /mode"),
        (cut("/nope:data=1"), "/nope | /mode"),
        (cut("/mode:state=1"), "/mode | state | data"),
        (cut("/state:header=1"), "/state | header.stamp, header.frame_id"),
        (cut("/state:position=1"), "/state | position"),
        (cut("/mode:data"), "'/mode:data' | TOPIC | TOPIC:FIELD=VALUE"),
        (cut("/mode:=3"), "'/mode:=3' | TOPIC | TOPIC:FIELD=VALUE"),
        (cut(gap_s=0.0), "gap_s"),
    ],
)
def test_what_cannot_cut_is_answered_with_what_can(tmp_path: Path, asked: ImportOptions, told: str):
    bag = write_bag(tmp_path / "bag", moving(SECONDS), saying("/mode", "String", (0, "idle")))
    with refused(told):
        open_source(bag, asked)


def test_the_images_of_an_episode_are_its_own(tmp_path: Path):
    """Image k is of the grey 8 k, at 100 k ms. One in a span that nobody wants cannot be decoded, and need not be."""
    frames = [(100 * k + 3, image(100 * k, np.full((16, 16, 3), 8 * k, np.uint8))) for k in range(31)]
    frames[14] = (1403, image(1400, np.zeros((16, 16, 1), np.uint8), "rgb8"))
    bag = write_bag(
        tmp_path / "bag",
        ("/cam", "sensor_msgs/msg/Image", frames),
        moving(range(0, 3001, 100)),
        saying("/run", "Bool", (300, True), (1000, False), (1800, True), (2300, False), (2500, True)),
    )
    topics = {**STATE, "observation.images.top": "/cam"}
    source = open_source(bag, cut("/run:data=true", topics=topics, fps=10))
    saved = imported(source, tmp_path / "data")
    assert saved.num_episodes == 3
    for episode, expected in enumerate((range(3, 10), range(18, 23), range(25, 31))):
        images = saved.frames(episode, "observation.images.top")
        assert np.rint(images.mean(axis=(1, 2, 3)) / 8).astype(int).tolist() == list(expected)
        assert (saved.columns(episode)["observation.state"][:, 0] / 100).tolist() == list(expected)
    assert source.episodes[1].facts.keys() == source.episodes[0].facts.keys(), "in any order, too"
    with refused("message 14 | /cam"):
        list(open_source(bag, options(topics)).episodes)


@pytest.mark.parametrize("latency", [0.1, 0.5, 0.9])
def test_in_every_episode_actions_stand_beside_what_they_were_decided_on(tmp_path: Path, latency: float):
    """A policy at 50 Hz on a sensor with jitter; command k says when reading k was taken."""
    random = np.random.default_rng(0)
    times = [20.0 * k + float(jitter) for k, jitter in enumerate(random.uniform(-3, 3, 300))]
    state = [(round(t) + 1, joints(t, ["a"], [t])) for t in times]
    command = [(round(t + 20 * latency) + 1, joints(t + 20 * latency, ["a"], [t])) for t in times]
    events = saying("/start", "Empty", *[(t, None) for t in (333, 1707, 1711, 4004)])
    bag = write_bag(tmp_path / "bag", ("/state", JOINTS, state), ("/cmd", JOINTS, command), events)
    source = open_source(bag, cut("/start", topics=BOTH, fps=50))
    assert len(source.episodes) == 3
    for seen, done in zip(rows(source), rows(source, "action"), strict=True):
        assert np.abs(np.subtract(seen, done))[:-1].max() <= 10.0, "half a period, in ms"


def test_it_is_said_how_many_readings_were_used(tmp_path: Path):
    """100 Hz and 5 Hz on a grid of 10 Hz: of the fast one 9 of 10 are not used, every other row holds the slow one."""
    bag = write_bag(
        tmp_path / "bag",
        moving(range(0, 2001, 10)),
        moving(range(0, 2001, 200), topic="/slow"),
        moving(range(0, 2001, 100), topic="/even"),
        saying("/next", "Empty", (0, None), (1000, None)),
    )
    topics = {**STATE, "observation.slow": "/slow", "observation.even": "/even"}
    source = open_source(bag, cut("/next", topics=topics, fps=10))
    assert source.findings == []
    assert [episode.length for episode in source.episodes] == [10, 11]
    assert source.findings == [
        "bag, episode 0: observation.state: 81 of 91 readings are in no row; none is interpolated",
        "bag, episode 0: observation.slow: 5 of 10 rows hold the reading of the row before; none is interpolated",
        "bag, episode 1: observation.state: 90 of 101 readings are in no row; none is interpolated",
        "bag, episode 1: observation.slow: 5 of 11 rows hold the reading of the row before; none is interpolated",
    ]


def test_from_the_command_line(tmp_path: Path):
    bag = write_bag(tmp_path / "bag", moving(SECONDS), saying("/mode", "String", (300, "run"), (900, "idle")))
    said = ["--fps", "20", "--task", "touch", "--topics", "observation.state", "/state"]
    cutting = ["--episodes", "/mode:data=run", "--gap-s", "0.5"]
    assert run("import", bag, tmp_path / "data", *said, *cutting) == 0
    assert [episode.length for episode in DatasetReader(tmp_path / "data").episodes] == [12]


@needs_bags
def test_a_recorded_flight_is_cut_by_its_state():
    topics = {"observation.state": "/servo/out/state", "action": "/controller/out/servo_positions"}
    bag = BAGS / "ros2bag_ats_2025-12-03_09-49-08"
    (whole,) = open_source(bag, cut(topics=topics, fps=25)).episodes
    (waiting,) = open_source(bag, cut("/md/state:data=11", topics=topics, fps=25)).episodes
    (flying,) = open_source(bag, cut("/md/state:data=3", topics=topics, fps=25)).episodes
    assert abs(waiting.length + flying.length - whole.length) <= 1
    with refused("11, 3"):
        open_source(bag, cut("/md/state:data=4", topics=topics, fps=25))


@needs_bags
def test_a_recorded_arm_is_cut_where_its_references_pause():
    """Three of them come alone, 10, 20 and 64 s before the next: what is left is one episode without a pause."""
    topics = {"observation.state": "/servo/out/state", "observation.wanted": "/servo/in/references/joint_references"}
    source = open_source(BAGS / "ros2bag_static_ats_invz", cut(gap_s=5.0, topics=topics, fps=25))
    (episode,) = source.episodes
    start = episode.facts["start_ns"]
    assert isinstance(start, int)
    ticks = start + np.arange(episode.length) * 40 * MS
    assert (ticks - episode.columns["capture_time_ns"][:, 1]).max() < 100 * MS, "no row is from a pause"
    assert any("1.63 to 1.63 s" in finding for finding in source.findings)
    assert not any("pauses" in finding for finding in source.findings)
