"""A run's configuration: made of its parts, changed by the task, kept to the last field, and only partly changeable."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from isthmus_policies.algorithms.algorithm import ALGORITHMS
from isthmus_policies.algorithms.ppo_config import PPOConfig
from isthmus_policies.files import plain, write_json
from isthmus_policies.networks.actor_critic import ActorCriticConfig
from isthmus_policies.networks.gru import GruConfig
from isthmus_policies.training.config import config_from_json, default_config, require_resumable, require_storable
from isthmus_sim.tasks import TASKS

TRAINED = [name for name, entry in TASKS.items() if entry.training is not None]


def with_training(monkeypatch: pytest.MonkeyPatch, training: Mapping[str, Any] | None) -> None:
    """A task "theirs" with these training defaults."""
    entry = replace(TASKS["quadrotor"], training=training)
    monkeypatch.setitem(TASKS._loaded, "theirs", entry)


# Defaults
# ---------------------------------------------------------------------------------------------------------------------
def test_a_task_says_how_it_is_trained():
    config = default_config("quadruped")
    assert (config.name, config.policy_name, config.algorithm_name) == ("quadruped", "mlp", "ppo")
    assert config.policy == ActorCriticConfig(
        actor=(128, 128), critic=(128, 128), activation="elu", hidden_gain=0.85, initial_std=0.5
    )
    assert (config.iterations, config.episode_steps, config.algorithm.symmetry) == (900, None, True)
    assert config.task == TASKS["quadruped"].config
    assert default_config("quadrotor").algorithm == PPOConfig(), "what the task does not say is the algorithm's default"


def test_another_policy_takes_what_it_shares_with_the_tasks_own():
    config = default_config("quadruped", policy="gru")
    assert isinstance(config.policy, GruConfig)
    assert (config.policy.activation, config.policy.initial_std, config.policy.units) == ("elu", 0.5, 64)


def test_a_task_may_choose_its_policy(monkeypatch: pytest.MonkeyPatch):
    with_training(monkeypatch, {"policy_name": "gru", "policy": {"units": 8, "initial_std": 0.3}})
    assert default_config("theirs").policy == GruConfig(units=8, initial_std=0.3)
    assert default_config("theirs", policy="mlp").policy == ActorCriticConfig(initial_std=0.3)


def test_an_algorithm_says_how_it_trains_and_a_task_that_chose_it_knows_better(monkeypatch: pytest.MonkeyPatch):
    asked = default_config("quadruped", algorithm="sac")
    assert (asked.policy_name, asked.algorithm) == ("squashed", ALGORITHMS["sac"].config)
    assert asked.num_envs == ALGORITHMS["sac"].training["num_envs"], "the task's were meant for its own algorithm"
    assert (asked.policy.actor, asked.policy.activation, asked.episode_steps) == ((128, 128), "elu", None)
    assert default_config("quadruped", policy="mlp", algorithm="sac").policy_name == "mlp"
    with_training(monkeypatch, {"algorithm_name": "sac", "num_envs": 8, "algorithm": {"n_step": 3}})
    theirs = default_config("theirs")
    assert (theirs.policy_name, theirs.num_envs, theirs.algorithm.n_step) == ("squashed", 8, 3)
    assert theirs.torch_threads == ALGORITHMS["sac"].training["torch_threads"]
    other = default_config("theirs", algorithm="ppo")
    assert (other.policy_name, other.algorithm) == ("mlp", PPOConfig())


@pytest.mark.parametrize(
    ("training", "told"),
    [
        ({"iteration": 3}, "task 'theirs', training: unknown key 'iteration'; valid are: name, .*iterations"),
        ({"policy": {"units": 3}}, r"task 'theirs', training\.policy: unknown key 'units'; valid are: .*actor"),
        ({"task": {"reward": {"speed": 1.0}}}, r"training\.task\.reward: unknown key 'speed'; valid are: .*survival"),
        ({"policy_name": "transformer"}, "unknown policy 'transformer'; there are: .*mlp"),
        ({"algorithm_name": "dream"}, "unknown algorithm 'dream'; there are: .*ppo"),
        (None, "the task 'theirs' is there to judge policies on"),
    ],
)
def test_training_defaults_that_are_no_options_are_named(
    monkeypatch: pytest.MonkeyPatch, training: dict | None, told: str
):
    with_training(monkeypatch, training)
    with pytest.raises(ValueError, match=told):
        default_config("theirs")


def test_names_that_are_not_registered_are_named_with_those_that_are():
    with pytest.raises(ValueError, match=r"unknown task 'walk'; there are: .*quadrotor"):
        default_config("walk")
    with pytest.raises(ValueError, match=r"unknown policy .transformer.; there are: .*gru"):
        default_config("quadrotor", policy="transformer")


@pytest.mark.parametrize(
    ("field", "value"),
    [("num_envs", 0), ("iterations", 0), ("checkpoint_every", -1), ("max_diverged_share", 3.0), ("episode_steps", 0),
     ("curriculum_end", 9.0), ("curriculum_share", float("nan")), ("seed", 2**62)],
)  # fmt: skip
def test_numbers_that_cannot_be_are_named(field: str, value: float):
    with pytest.raises(ValueError, match=field):
        replace(default_config("quadrotor"), **{field: value})


# On disk
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("policy", ["mlp", "cnn", "gru", "estimator", "averaging_estimator"])
def test_every_registered_configuration_comes_back_from_its_file(name: str, policy: str, tmp_path: Path):
    config = replace(default_config(name, policy), seed=7, episode_steps=33)
    write_json(tmp_path / "config.json", config)
    again = config_from_json(json.loads((tmp_path / "config.json").read_text()))
    assert again == config
    assert type(again.task) is type(config.task)
    assert type(again.policy) is type(config.policy)
    assert again != default_config(name, policy)


def test_a_run_keeps_its_own_constants_when_todays_defaults_change(monkeypatch: pytest.MonkeyPatch):
    """Written with one default, read with another."""
    written = plain(default_config("quadrotor"))
    entry = TASKS["quadrotor"]
    other = replace(entry, config=replace(entry.config, position_limit=9.0), training={"iterations": 3})
    monkeypatch.setitem(TASKS._loaded, "quadrotor", other)
    assert default_config("quadrotor").task.position_limit == 9.0
    assert config_from_json(written).task.position_limit == entry.config.position_limit
    assert config_from_json(written).iterations == 440


def changed(path: str, value: object) -> dict:
    """A written configuration with one key set, or removed for None."""
    written = plain(default_config("quadrotor"))
    *parents, key = path.split(".")
    place = written
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[key]
    else:
        place[key] = value
    return written


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (changed("speed", 3), "TrainConfig: unknown key speed; valid are exactly: name, policy_name"),
        (changed("task.reward.speed", 3), r"task\.reward: unknown key speed; valid are exactly: position"),
        (changed("algorithm.horizon", 3), r"algorithm: unknown key horizon; valid are exactly: num_steps"),
        (changed("task.position_limit", None), "task: missing key position_limit"),
        (changed("name", None), "TrainConfig: missing key name"),
        (changed("policy.actor", 64), r"policy\.actor: expected a list, got 64"),
        (changed("policy.activation", "sine"), r"policy\.activation: 'sine' is none of 'tanh', 'elu', 'relu'"),
        (changed("policy_name", "transformer"), "unknown policy 'transformer'; there are"),
        (changed("name", "walk"), "unknown task 'walk'; there are"),
        (changed("task", "quadrotor"), "task: expected an object with .*episode_steps"),
        (changed("seed", "7"), "seed: expected int, got '7'"),
    ],
)
def test_a_file_that_is_not_of_this_version_is_named_by_its_key(written: dict, told: str):
    with pytest.raises(ValueError, match=told):
        config_from_json(written)


# Going on
# ---------------------------------------------------------------------------------------------------------------------
def test_a_run_can_be_trained_longer():
    config = default_config("quadrotor")
    require_resumable(
        config, replace(config, iterations=900, checkpoint_every=7, max_diverged_share=0.5, torch_threads=1)
    )


def test_a_configuration_that_could_not_be_read_again_is_refused_before_training():
    class Kind(Enum):
        FAST = 1

    config = default_config("quadrotor")
    require_storable(config)
    for wrong, told in ((Kind.FAST, "Kind has no JSON form"), ([32], r"task.history: expected int, got \[32\]")):
        with pytest.raises(ValueError, match=f"quadrotor: a run could not be rebuilt .*: .*{told}"):
            require_storable(replace(config, task=replace(config.task, history=wrong)))


def test_numbers_that_no_file_can_hold_are_named_before_training():
    config = default_config("quadrotor")
    wrong = replace(config, task=replace(config.task, position_limit=math.inf, start_angle=math.nan))
    with pytest.raises(ValueError, match=r"not finite: task\.position_limit \(inf\), task\.start_angle \(nan\)"):
        require_storable(wrong)


def test_what_may_not_change_is_named_with_both_values():
    config = default_config("quadrotor")
    task = replace(config.task, history=3)
    other = replace(config, iterations=900, num_envs=8, seed=1, task=task, policy=replace(config.policy, actor=(3,)))
    with pytest.raises(ValueError, match="cannot change") as error:
        require_resumable(config, other)
    for line in ("num_envs (512 to 8)", "seed (0 to 1)", "task.history (32 to 3)", "policy.actor ((64, 64) to (3,))"):
        assert line in str(error.value)
    assert "it can change: iterations, checkpoint_every, max_diverged_share" in str(error.value)
    assert "iterations (440" not in str(error.value)


def test_another_kind_of_part_is_no_detail():
    @dataclass(frozen=True, kw_only=True)
    class Other:
        episode_steps: int = 3

    config = default_config("quadrotor")
    with pytest.raises(ValueError, match=r"task .HoverConfig"):
        require_resumable(config, replace(config, task=Other()))
