"""Numbers that nothing, or something wrong, can be learnt from: found in the right episode; look-alikes are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from spoiling import edit_info, edit_json, edit_parquet, with_column

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.tools.checks.correlation import estimate
from isthmus_datasets.tools.scan.gather import gather

SENT = Feature(dtype="float32", shape=(3,), names=("shoulder", "elbow", "gripper"))


@pytest.fixture
def numbers(demonstrations):
    """The features without the video, which makes saving quick."""
    return {name: feature for name, feature in demonstrations.features.items() if name != "camera"}


@pytest.fixture
def check(demonstrations, numbers, tmp_path: Path):
    """What is found in a dataset of these episodes, and all messages."""

    def found(episodes, features=numbers):
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        return demonstrations.check(demonstrations.save(root, episodes, features))

    return found


def changed(episode: Episode, **columns: np.ndarray) -> Episode:
    """With other columns; `state` is short for observation.state."""
    names = {"state": "observation.state", "sent": "action.sent"}
    typed = {names.get(name, name): values.astype(np.float32) for name, values in columns.items()}
    return replace(episode, columns=episode.columns | typed)


def held(episode: Episode, elbow: float) -> Episode:
    """With the elbow at rest there."""
    return changed(episode, state=episode.columns["observation.state"] * [1, 0, 1] + [0, elbow, 0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_a_number(dataset: Path, demonstrations, value: float):
    def spoil(table):
        rows = table["observation.state"].to_pylist()
        rows[7][1] = rows[9][1] = value
        return with_column(table, "observation.state", rows)

    edit_parquet(dataset / "data/chunk-000/file-003.parquet", spoil)
    found, said = demonstrations.check(dataset)
    assert found == [("error", "finite", 3)]
    assert f"observation.state[elbow] is {value} at step 7; 2 of 60 steps" in said


def test_a_channel_that_never_changes(demonstrations, check):
    found, said = check([held(episode, 4) for episode in demonstrations.episodes()])
    assert found == [("warning", "constant", None)]
    assert "observation.state[elbow] is 4 in every row" in said


@pytest.mark.parametrize(("said_std", "errors"), [(0.0197808, 0), (0.5, 1)])
def test_a_held_joints_spread_is_as_good_as_float32(
    tmp_path: Path, demonstrations, numbers, said_std: float, errors: int
):
    """LeRobot sums in float32, so the variance of a joint that rests at -12.3456 comes out as a rounding error."""
    episodes = [held(episode, -12.3456) for episode in demonstrations.episodes()]
    root = demonstrations.save(tmp_path / "d", episodes, numbers)

    def say(statistics: dict) -> None:
        statistics["observation.state"]["std"][1] = said_std

    edit_json(root / "meta/stats.json", say)
    found, _ = demonstrations.check(root)
    assert [item for item in found if item[1] == "statistics"] == [("error", "statistics", None)] * errors


def test_a_robot_that_was_off_is_one_error(demonstrations, check):
    made = demonstrations.episodes()
    episodes = [replace(e, columns={n: np.full_like(v, 4) for n, v in e.columns.items()}) for e in made]
    found, said = check(episodes)
    assert [item for item in found if item[1] == "constant"] == [("error", "constant", None)]
    assert "no channel of action, observation.state ever changes" in said


def test_a_single_episode_proves_little(demonstrations, check):
    """A thing that nobody touched, or that moves as the hand does later: said, but no warning."""
    (episode,) = demonstrations.episodes(1)
    for name, odd in (("constant", held(episode, 4)), ("delay", shifted(episode, -5))):
        found, said = check([odd])
        assert ("note", name, None) in found
        assert "warning" not in {severity for severity, *_ in found}, said


def test_a_channel_that_dies_in_one_episode(demonstrations, check):
    episodes = demonstrations.episodes(12)
    episodes[8] = held(episodes[8], 0.25)
    found, said = check(episodes)
    assert found == [("warning", "constant", 8)]
    assert "observation.state[elbow] is 0.25 throughout; it changes in 92% of the episodes" in said


def test_a_block_that_is_often_left_alone_is_not_dead(demonstrations, check):
    episodes = demonstrations.episodes(12)
    for i in (2, 5, 8):
        episodes[i] = held(episodes[i], i / 10)
    found, _ = check(episodes)
    assert found == []


def test_an_action_that_is_cut_off(demonstrations, check):
    episodes = demonstrations.episodes()
    high = max(e.columns["action"][:, 0].max() for e in episodes)
    action = episodes[6].columns["action"].copy()
    action[:, 0] = np.minimum(action[:, 0] + high, high)
    assert 0.2 < (action[:, 0] == high).mean() < 1
    episodes[6] = changed(episodes[6], action=action)
    found, said = check(episodes)
    assert found == [("warning", "saturated", 6)]
    assert f"action[shoulder] is at its highest value {high:.6g} in" in said


def test_a_gripper_and_a_robot_at_rest_are_not_saturated(demonstrations, check):
    episodes = []
    for episode in demonstrations.episodes():
        action = episode.columns["action"].copy()
        action[:, 2] = np.clip(20 * action[:, 2], -1, 1)
        action[:30, :2] = -3.0
        episodes.append(changed(episode, action=action))
    found, _ = check(episodes)
    assert [each for each in found if each[1] == "saturated"] == []


def test_a_hand_that_rests_open_is_not_saturated(demonstrations, check):
    """It is open when episodes begin, closes for a while, and is open again while the arm goes on."""
    episodes = []
    for episode in demonstrations.episodes():
        action = episode.columns["action"].copy()
        steps = np.arange(len(action))
        action[:, 1] = 1.0 - np.exp(-(((steps - len(steps) / 2) / 8) ** 2))
        action[np.abs(steps - len(steps) / 2) > 20, 1] = 1.0
        episodes.append(changed(episode, action=action))
    found, _ = check(episodes)
    assert [each for each in found if each[1] == "saturated"] == []


def test_action_and_state_of_different_spaces_are_noted(demonstrations, check, numbers):
    """Seven numbers of noise are nothing that six, or three, could be compared with."""
    random = np.random.default_rng(0)
    features = {**numbers, "observation.state": Feature(dtype="float32", shape=(7,))}
    episodes = [changed(e, state=random.normal(size=(e.length, 7))) for e in demonstrations.episodes()]
    found, said = check(episodes, features)
    assert ("note", "delay", None) in found
    assert "action has 3 channels, observation.state has 7, none of which follows one of those" in said


@pytest.mark.parametrize(("factor", "severity"), [(0.8, "warning"), (0.97, "note")])
def test_an_action_that_was_changed_before_it_was_sent(demonstrations, check, numbers, factor: float, severity: str):
    episodes = [changed(e, sent=e.columns["action"]) for e in demonstrations.episodes()]
    action = episodes[4].columns["action"]
    limit = np.quantile(np.abs(action), factor)
    episodes[4] = changed(episodes[4], sent=np.clip(action, -limit, limit))
    found, said = check(episodes, numbers | {"action.sent": SENT})
    assert (severity, "changed-actions", 4) in found
    assert {each[2] for each in found if each[1] != "roles"} == {4}, "its name is a warning of its own"
    assert "action.sent is not action in" in said


def test_an_episode_that_is_there_twice(demonstrations, check):
    episodes = demonstrations.episodes()
    clock = episodes[2].columns["capture_time_ns"] + 10**13
    again = replace(episodes[2], columns=episodes[2].columns | {"capture_time_ns": clock})
    found, said = check([*episodes, again])
    assert found == [("warning", "duplicates", 10)]
    assert "those of episode 2" in said


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (4, [("warning", "short", 10), ("note", "unusual-length", 10)]),
        (190, [("note", "unusual-length", 10)]),
        (130, []),
    ],
)
def test_lengths(demonstrations, check, steps: int, expected: list):
    episodes = [*demonstrations.episodes(), demonstrations.episodes(11, steps)[10]]
    found, _ = check(episodes)
    assert found == expected


def test_an_episode_of_zero_steps(tmp_path: Path, demonstrations, numbers):
    root = demonstrations.save(tmp_path / "d", demonstrations.episodes(4), numbers)
    edit_parquet(root / "data/chunk-000/file-003.parquet", lambda table: table.slice(0, 0))
    row = root / "meta/episodes/chunk-000/file-003.parquet"
    edit_parquet(row, lambda t: with_column(with_column(t, "length", [0]), "dataset_to_index", [180]))
    edit_info(root, total_frames=180)
    found, _ = demonstrations.check(root)
    assert ("error", "short", 3) in found


def shifted(episode: Episode, steps: int) -> Episode:
    """Its state that many steps later; what is missing at the end stands still."""
    rows = np.clip(np.arange(episode.length) - steps, 0, episode.length - 1)
    return changed(episode, state=episode.columns["observation.state"][rows])


def test_the_delay_of_a_good_dataset_is_what_it_was_made_with(clean_dataset: Path):
    found = estimate(gather(clean_dataset))
    assert [(delay.action, delay.state) for delay in found] == [
        (f"action[{joint}]", f"observation.state[{joint}]") for joint in ("shoulder", "elbow", "gripper")
    ]
    for delay in found:
        assert delay.steps == pytest.approx(2, abs=0.1)
        assert delay.correlation > 0.98
        assert delay.target


def test_a_state_under_another_name_is_seen(demonstrations, check, numbers):
    """A set with `state` and `actions`: that the arm follows 0.9 s late, and an elbow that never moves, are found."""
    renamed = {"observation.state": "state", "action": "actions"}
    features = {renamed.get(name, name): feature for name, feature in numbers.items() if name != "action.sent"}
    episodes = []
    for episode in demonstrations.episodes():
        columns = {renamed.get(name, name): v for name, v in episode.columns.items() if name != "action.sent"}
        late = round(0.9 * demonstrations.fps)
        state = np.concatenate((np.repeat(columns["actions"][:1], late, axis=0), columns["actions"][:-late]))
        state[:, 1] = 4.0
        episodes.append(replace(episode, columns=columns | {"state": state}, videos={}))
    found, said = check(episodes, features)
    assert ("warning", "delay", None) in found
    assert "state[shoulder] follows actions[shoulder] by +0.9" in said
    assert "state[elbow] is 4 in every row" in said


def test_speeds_as_actions_have_a_delay_too(tmp_path: Path, demonstrations, numbers):
    episodes = []
    for episode in demonstrations.episodes():
        speed = episode.columns["action"]
        moved = np.concatenate([np.zeros((3, 3)), np.cumsum(speed, axis=0)[:-3]])
        episodes.append(changed(episode, state=0.1 * moved))
    for delay in estimate(gather(demonstrations.save(tmp_path / "d", episodes, numbers))):
        assert not delay.target
        assert delay.steps == pytest.approx(3, abs=0.1), "one step and two more"


@pytest.mark.parametrize(("steps", "message"), [(-5, "(-3.0 steps), correlation"), (6, "(+8.0 steps), correlation")])
def test_a_state_that_moves_before_or_long_after_the_action(demonstrations, check, steps: int, message: str):
    episodes = [shifted(episode, steps) for episode in demonstrations.episodes()]
    found, said = check(episodes)
    assert found == [("warning", "delay", None)] * 3
    assert message in said
    assert ("before it is told" in said) == (steps < 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: shifted(e, 4), "(+6.0 steps), correlation 1.00; in all episodes by +0.20"),
        (lambda e: changed(e, state=-e.columns["observation.state"]), "the other way round"),
    ],
    ids=["late", "inverted"],
)
def test_an_episode_whose_state_follows_otherwise(demonstrations, check, change, message: str):
    episodes = demonstrations.episodes()
    episodes[7] = change(episodes[7])
    found, said = check(episodes)
    assert found == [("warning", "delay", 7)] * 3
    assert message in said


def test_episodes_that_a_lost_sensor_ended(demonstrations, check):
    endings = ["time", "sensors", "success", "sensors"]
    episodes = [
        replace(episode, facts={**episode.facts, "ending": ending})
        for episode, ending in zip(demonstrations.episodes(4), endings, strict=True)
    ]
    found, _ = check(episodes)
    assert found == [("note", "lost-sensors", 1), ("note", "lost-sensors", 3)]
