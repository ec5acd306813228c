"""Between sensor and policy: delay, dropped readings, noise."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isthmus_sim.description import SignalSpec
from isthmus_sim.robots.quadrotor.description import SPEC
from isthmus_sim.rotations import rotation_matrix
from isthmus_sim.signals import DelayLine, SensorModel, Sensors


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[int], list[list[tuple[bool, bool]]]]:
    """max_delay, each world's delay, and per step and world: (is reset before this step, its reading is dropped)."""
    max_delay, worlds = draw(st.integers(0, 4)), draw(st.integers(1, 3))
    delays = draw(st.lists(st.integers(0, max_delay), min_size=worlds, max_size=worlds))
    event = st.tuples(st.sampled_from((False, False, False, True)), st.booleans())
    steps = draw(st.lists(st.lists(event, min_size=worlds, max_size=worlds), min_size=1, max_size=15))
    return max_delay, delays, steps


@given(histories())
def test_the_line_gives_what_it_was_given_delay_steps_ago(history):
    """Held to a list per world: its first reading, then everything that arrived."""
    max_delay, delays, steps = history
    worlds = len(delays)
    line = DelayLine(worlds, 1, max_delay)
    arrived: list[list[float]] = [[] for _ in range(worlds)]
    for t, events in enumerate(steps):
        reset = [i for i, (again, _) in enumerate(events) if again or t == 0]
        first = torch.tensor([[-100.0 * t - i] for i in reset]).reshape(-1, 1)
        line.reset(torch.tensor(reset, dtype=torch.long), first, torch.tensor([delays[i] for i in reset]).long())
        for i in reset:
            arrived[i] = [-100.0 * t - i]
        dropped = torch.tensor([lost for _, lost in events])
        found = line.push(torch.tensor([[100.0 * t + i] for i in range(worlds)]), dropped)
        for i, (_, lost) in enumerate(events):
            arrived[i].append(arrived[i][-1] if lost else 100.0 * t + i)
            assert float(found[i]) == arrived[i][max(0, len(arrived[i]) - 1 - delays[i])]


def test_a_delay_of_two_by_hand():
    line = DelayLine(1, 1, 2)
    line.reset(torch.tensor([0]), torch.tensor([[9.0]]), torch.tensor([2]))
    assert [float(line.push(torch.tensor([[x]]))) for x in (1.0, 2.0, 3.0, 4.0)] == [9.0, 9.0, 1.0, 2.0]


def test_a_saved_line_goes_on():
    def pushed(line: DelayLine, start: int) -> list[list[float]]:
        return [line.push(torch.tensor([[float(t)], [10.0 * t]])).flatten().tolist() for t in range(start, start + 5)]

    first, second = DelayLine(2, 1, 3), DelayLine(2, 1, 3)
    first.reset(torch.arange(2), torch.zeros(2, 1), torch.tensor([1, 3]))
    pushed(first, 0)
    saved = {name: value.clone() for name, value in first.state_dict().items()}
    second.load_state_dict(saved)
    assert pushed(first, 5) == pushed(second, 5)


# Sensors
# ---------------------------------------------------------------------------------------------------------------------
N = 20_000


def sensors(seed: int = 0, n: int = N, **models: SensorModel) -> Sensors:
    return Sensors(SPEC.signals, models, n, torch.Generator().manual_seed(seed))


def true_readings(n: int = N, value: float = 0.0) -> dict[str, torch.Tensor]:
    readings = {spec.name: torch.full((n, spec.size), value) for spec in SPEC.signals}
    readings["orientation"] = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1)
    return readings


def test_a_signal_without_a_model_is_measured_as_it_is():
    measured = sensors(position=SensorModel(noise=0.1)).measure(true_readings(value=3.0))
    assert torch.equal(measured["angular_velocity"], torch.full((N, 3), 3.0))
    assert not torch.equal(measured["position"], torch.full((N, 3), 3.0))


def test_noise_has_the_stated_deviation_on_every_axis_and_no_bias():
    measured = sensors(linear_velocity=SensorModel(noise=0.02)).measure(true_readings(value=1.0))
    error = measured["linear_velocity"] - 1.0
    torch.testing.assert_close(error.std(0), torch.full((3,), 0.02), rtol=0.03, atol=0)
    assert float(error.mean(0).abs().max()) < 4 * 0.02 / N**0.5


def test_noise_on_an_orientation_turns_it():
    measured = sensors(orientation=SensorModel(noise=0.01)).measure(true_readings())["orientation"]
    torch.testing.assert_close(measured.norm(dim=-1), torch.ones(N))
    # The vector part of a small turn is half of its angle about each axis.
    torch.testing.assert_close(2 * measured[:, 1:].std(0), torch.full((3,), 0.01), rtol=0.03, atol=0)
    assert float((rotation_matrix(measured)[:, 0] - 1).abs().max()) < 0.01


def test_which_signals_are_turned_is_read_from_their_order():
    """Four numbers that are no quaternion get plain noise."""
    wheels = SignalSpec(
        name="wheels", unit="rad/s", frame="joint", order=("a", "b", "c", "d"),
        minimum=(-9.0,) * 4, maximum=(9.0,) * 4, max_jump=(9.0,) * 4, max_age_s=0.1,
    )  # fmt: skip
    sensor = Sensors((wheels,), {"wheels": SensorModel(noise=0.5)}, N, torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        sensor.measure({"wheels": torch.zeros(N, 4)})["wheels"].std(0), torch.full((4,), 0.5), rtol=0.03, atol=0
    )


def test_delays_are_drawn_per_episode_within_their_bounds():
    sensor = sensors(position=SensorModel(delay=(1, 3)))
    sensor.reset(torch.arange(N), true_readings())
    seen = [sensor.measure(true_readings(value=float(t)))["position"][:, 0] for t in range(1, 6)][-1]
    assert seen.unique().tolist() == [2.0, 3.0, 4.0]
    shares = torch.stack([(seen == value).float().mean() for value in (2.0, 3.0, 4.0)])
    torch.testing.assert_close(shares, torch.full((3,), 1 / 3), rtol=0, atol=0.02)


def test_a_dropped_reading_repeats_the_one_before():
    sensor = sensors(position=SensorModel(drop=0.25))
    sensor.reset(torch.arange(N), true_readings())
    first = sensor.measure(true_readings(value=1.0))["position"][:, 0]
    second = sensor.measure(true_readings(value=2.0))["position"][:, 0]
    assert float((first == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert float((second < 2).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert torch.equal(second[second < 2], first[second < 2])


def test_what_a_sensor_saw_before_the_reset_is_forgotten():
    sensor = sensors(n=4, position=SensorModel(delay=(2, 2), drop=0.5))
    sensor.reset(torch.arange(4), true_readings(4, 7.0))
    for _ in range(4):
        sensor.measure(true_readings(4, 7.0))
    some = torch.tensor([1, 3])
    first = sensor.reset(some, true_readings(2, 1.0))["position"]
    assert torch.equal(first, torch.ones(2, 3))
    for _ in range(5):
        seen = sensor.measure(true_readings(4, 2.0))["position"]
        assert (seen[some] <= 2.0).all()


# Bias
# ---------------------------------------------------------------------------------------------------------------------
def test_a_bias_lasts_an_episode_and_the_next_has_another():
    sensor, some = sensors(position=SensorModel(bias=0.05)), torch.arange(0, N, 2)
    first = sensor.reset(torch.arange(N), true_readings())["position"]
    torch.testing.assert_close(first.std(0), torch.full((3,), 0.05), rtol=0.03, atol=0)
    assert float(first.mean(0).abs().max()) < 4 * 0.05 / N**0.5
    assert len(first.unique()) > 0.99 * first.numel(), "every world and element has its own"
    for value in (1.0, 2.0):
        measured = sensor.measure(true_readings(value=value))["position"]
        torch.testing.assert_close(measured - value, first, rtol=0, atol=1e-6)
    again = sensor.reset(some, true_readings(len(some)))["position"]
    assert (again != first[some]).all()
    measured = sensor.measure(true_readings())["position"]
    assert torch.equal(measured[some], again)
    assert torch.equal(measured[1::2], first[1::2]), "the others keep theirs"


def test_a_bias_adds_to_the_noise_and_is_late_with_it():
    sensor = sensors(position=SensorModel(noise=0.03, bias=0.04, delay=(1, 1)))
    sensor.reset(torch.arange(N), true_readings())
    rows = torch.stack([sensor.measure(true_readings(value=float(t)))["position"] for t in range(1, 5)])
    error = rows - torch.tensor([0.0, 1.0, 2.0, 3.0]).reshape(4, 1, 1)
    assert float(error[2].std()) == pytest.approx(0.05, rel=0.03)
    assert float((error[3] - error[2]).std()) == pytest.approx(0.03 * 2**0.5, rel=0.03)


def test_a_bias_of_an_orientation_turns_it_about_each_axis():
    sensor = sensors(orientation=SensorModel(bias=0.02))
    first = sensor.reset(torch.arange(N), true_readings())["orientation"]
    torch.testing.assert_close(first.norm(dim=-1), torch.ones(N))
    torch.testing.assert_close(2 * first[:, 1:].std(0), torch.full((3,), 0.02), rtol=0.03, atol=0)
    assert torch.equal(sensor.measure(true_readings())["orientation"], first)


def test_saved_sensors_go_on_with_their_bias():
    model = SensorModel(noise=0.01, bias=0.1, delay=(0, 2), drop=0.1)
    first, second = (sensors(seed, 5, position=model, orientation=SensorModel(bias=0.1)) for seed in (0, 1))
    for sensor in (first, second):
        sensor.reset(torch.arange(5), true_readings(5))
    first.measure(true_readings(5))
    saved = {name: value.clone() for name, value in first.state_dict().items()}
    state = first._generator.get_state()
    expected = [first.measure(true_readings(5, float(t))) for t in range(4)]
    second.load_state_dict(saved)
    second._generator.set_state(state)
    for t in range(4):
        found = second.measure(true_readings(5, float(t)))
        assert all(torch.equal(found[name], expected[t][name]) for name in found)
