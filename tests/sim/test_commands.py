"""Between policy and actuators: range, rate, delay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isthmus_deploy.contracts.limits import Command, Limits
from isthmus_deploy.contracts.robot_interface import narrowed
from isthmus_deploy.safety.commands.filter import SafetyFilter
from isthmus_sim.commands import CommandLine, DelayLine
from isthmus_sim.specs import CommandSpec

# 1 V/s at most on the first element, and no bound that matters on the second; the other command is its own.
SPEED = CommandSpec(
    name="speed", unit="V", frame="body", order=("left", "right"), minimum=(-1.0, -2.0), maximum=(1.0, 2.0),
    max_rate=(1.0, 1000.0), safe=(0.0, 0.0), standby=(0.0, 0.0),
)  # fmt: skip
GRIP = replace(SPEED, name="grip", order=("jaw",), minimum=(0.0,), maximum=(1.0,), max_rate=(50.0,), safe=(0.0,))


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[int], list[list[bool]]]:
    """max_delay, each world's delay, and per step and world whether it is reset before this step."""
    max_delay, worlds = draw(st.integers(0, 4)), draw(st.integers(1, 3))
    delays = draw(st.lists(st.integers(0, max_delay), min_size=worlds, max_size=worlds))
    again = st.sampled_from((False, False, False, True))
    steps = draw(st.lists(st.lists(again, min_size=worlds, max_size=worlds), min_size=1, max_size=15))
    return max_delay, delays, steps


@given(histories())
def test_the_line_gives_what_it_was_given_delay_steps_ago(history: tuple[int, list[int], list[list[bool]]]):
    """Held to a list per world: its first row, then everything that came."""
    max_delay, delays, steps = history
    worlds = len(delays)
    line, came = DelayLine(worlds, 1, max_delay), [[] for _ in range(worlds)]
    for t, events in enumerate(steps):
        reset = [i for i, again in enumerate(events) if again or t == 0]
        first = torch.tensor([[-100.0 * t - i] for i in reset]).reshape(-1, 1)
        line.reset(torch.tensor(reset, dtype=torch.long), first, torch.tensor([delays[i] for i in reset]).long())
        for i in reset:
            came[i] = [-100.0 * t - i]
        found = line.push(torch.tensor([[100.0 * t + i] for i in range(worlds)]))
        for i in range(worlds):
            came[i].append(100.0 * t + i)
            assert float(found[i]) == came[i][max(0, len(came[i]) - 1 - delays[i])]


def test_a_delay_of_two_by_hand():
    line = DelayLine(1, 1, 2)
    line.reset(torch.tensor([0]), torch.tensor([[9.0]]), torch.tensor([2]))
    assert [float(line.push(torch.tensor([[x]]))) for x in (1.0, 2.0, 3.0, 4.0)] == [9.0, 9.0, 1.0, 2.0]


def command_line(n: int = 1, delay: tuple[int, int] = (0, 0), seed: int = 0) -> CommandLine:
    """Stands at zero; 0.1 s a step."""
    line = CommandLine((SPEED, GRIP), delay, n, 0.1, torch.Generator().manual_seed(seed))
    line.reset(torch.arange(n), {"speed": torch.zeros(n, 2), "grip": torch.zeros(n, 1)})
    return line


def test_range_and_rate_by_hand():
    """Within 0.1 s the first element moves by 0.1 at most; the second by anything within its range."""
    line, sent = command_line(), []
    for wanted in ((5.0, 5.0), (5.0, -5.0), (-5.0, 0.5), (0.0, 0.5)):
        given, acting = line.send({"speed": torch.tensor([wanted]), "grip": torch.tensor([[7.0]])})
        assert given["grip"].tolist() == acting["grip"].tolist() == [[1.0]]
        sent.append(given["speed"][0].tolist())
    expected = [(0.1, 2.0), (0.2, -2.0), (0.1, 0.5), (0.0, 0.5)]
    assert [row == pytest.approx(pair, abs=1e-6) for row, pair in zip(sent, expected, strict=True)] == [True] * 4


@given(st.lists(st.tuples(st.floats(-4, 4, width=32), st.floats(-4, 4, width=32)), min_size=1, max_size=20))
def test_limits_are_those_of_the_robots_safety_chain(wishes: list[tuple[float, float]]):
    """Step by step the same numbers as where the robot limits them, whatever is wished for."""
    line = command_line()
    limits = Limits(control_period_s=0.1, signals=(), commands=(narrowed(Command, SPEED),))
    robot = SafetyFilter(limits, 0.1)
    for wish in wishes:
        sent, _ = line.send({"speed": torch.tensor([wish]), "grip": torch.zeros(1, 1)})
        expected = robot.apply({"speed": np.array(wish)})["speed"]
        np.testing.assert_allclose(sent["speed"][0].numpy(), expected, atol=1e-5)


def test_a_world_that_starts_anew_is_limited_from_where_it_stands():
    line = command_line(2)
    first, _ = line.send({"speed": torch.full((2, 2), 9.0), "grip": torch.zeros(2, 1)})
    line.reset(torch.tensor([1]), {"speed": torch.tensor([[0.8, 9.0]]), "grip": torch.zeros(1, 1)})
    assert line.sent["speed"].tolist()[1] == pytest.approx([0.8, 2.0]), "what stands is within range"
    torch.testing.assert_close(first["speed"], torch.tensor([[0.1, 2.0], [0.1, 2.0]]), msg="what was given out stays")
    second, _ = line.send({"speed": torch.full((2, 2), 9.0), "grip": torch.zeros(2, 1)})
    torch.testing.assert_close(second["speed"], torch.tensor([[0.2, 2.0], [0.9, 2.0]]))


def test_all_commands_of_a_world_are_late_together():
    """By 1 to 3 steps, each as often; what acts is what was sent, limits included."""
    n = 3000
    line = command_line(n, (1, 3))
    acting = [
        line.send({"speed": torch.full((n, 2), 0.02 * t), "grip": torch.full((n, 1), 0.1 * t)})[1] for t in range(1, 6)
    ][-1]
    late = (5 - acting["grip"][:, 0] / 0.1).round()
    assert late.unique().tolist() == [1.0, 2.0, 3.0]
    torch.testing.assert_close(acting["speed"], 0.2 * acting["grip"].expand(n, 2))
    shares = torch.stack([(late == steps).float().mean() for steps in (1, 2, 3)])
    torch.testing.assert_close(shares, torch.full((3,), 1 / 3), rtol=0, atol=0.04)


def test_a_saved_line_goes_on():
    first, second = command_line(5, (0, 3), seed=0), command_line(5, (0, 3), seed=1)

    def sent(line: CommandLine, start: int) -> list[torch.Tensor]:
        rows = [torch.full((5, 1), 0.1 * t) for t in range(start, start + 5)]
        acting = [line.send({"speed": 3 * row.repeat(1, 2), "grip": row})[1] for row in rows]
        return [torch.cat((commands["speed"], commands["grip"]), dim=-1) for commands in acting]

    sent(first, 0)
    saved = {name: value.clone() for name, value in first.state_dict().items()}
    second.load_state_dict(saved)
    assert torch.equal(torch.stack(sent(first, 5)), torch.stack(sent(second, 5)))
