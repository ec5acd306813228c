"""Between sensor and policy: noise, rate, latency, jitter, lost messages; what is read is always something that was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus_sim.rotations import rotation_matrix
from isthmus_sim.sensors import SensorModel, Sensors, SignalNoise, longest_latency
from isthmus_sim.specs import SignalSpec

N = 20_000
STEP = 0.01  # s
IDENTITY = torch.tensor([1.0, 0.0, 0.0, 0.0])


def spec(name: str, size: int = 3, sensor: str = "odom", frame: str = "world") -> SignalSpec:
    order = tuple("wxyz") if name == "orientation" else tuple(f"{name}.{i}" for i in range(size))
    bound = (9.0,) * len(order)
    return SignalSpec(
        name=name, unit="1", frame=frame, order=order, minimum=bound, maximum=bound, max_jump=bound, max_age_s=0.1,
        sensor=sensor,
    )  # fmt: skip


POSITION, VELOCITY, ORIENTATION, GYRO = spec("position"), spec("velocity"), spec("orientation"), spec("gyro", 3, "imu")
AGE = spec("age", 1, "odom", "age")
SPECS = (POSITION, VELOCITY, ORIENTATION, GYRO)


def sensors(
    models: dict[str, SensorModel] | None = None,
    noise: dict[str, SignalNoise] | None = None,
    *,
    n: int = N,
    seed: int = 0,
    specs: tuple[SignalSpec, ...] = SPECS,
    start: float = 0.0,
) -> Sensors:
    """All worlds just reset, with every number at `start`."""
    made = Sensors(specs, models or {}, noise or {}, n, STEP, torch.Generator().manual_seed(seed))
    made.reset(torch.arange(n), true(n, start, specs))
    return made


def true(n: int = N, value: float = 0.0, specs: tuple[SignalSpec, ...] = SPECS) -> dict[str, torch.Tensor]:
    readings = {spec.name: torch.full((n, spec.size), value) for spec in specs if spec.frame != "age"}
    return readings | ({"orientation": IDENTITY.repeat(n, 1)} if "orientation" in readings else {})


def read(sensor: Sensors, values: list[float], name: str = "position") -> list[float]:
    """What is read at each step of one world whose numbers go through `values`."""
    specs = tuple(spec for spec in SPECS if spec.name in sensor.noise)
    return [float(sensor.measure(true(1, value, specs))[name][0, 0]) for value in values]


# Noise and bias
# ---------------------------------------------------------------------------------------------------------------------
def test_a_signal_without_a_model_is_measured_as_it_is():
    measured = sensors(noise={"position": SignalNoise(noise=0.1)}).measure(true(value=3.0))
    assert torch.equal(measured["gyro"], torch.full((N, 3), 3.0))
    assert not torch.equal(measured["position"], torch.full((N, 3), 3.0))


@pytest.mark.parametrize("wrong", [{"noise": -0.1}, {"bias": -0.1}, {"lag_s": (0.02, 0.01)}, {"lag_s": (-0.1, 0.0)}])
def test_noise_that_cannot_be_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match="noise and bias must not be negative and lag_s rise"):
        SignalNoise(**wrong)


def test_noise_has_the_stated_deviation_on_every_axis_and_no_bias():
    error = sensors(noise={"velocity": SignalNoise(noise=0.02)}).measure(true(value=1.0))["velocity"] - 1.0
    torch.testing.assert_close(error.std(0), torch.full((3,), 0.02), rtol=0.03, atol=0)
    assert float(error.mean(0).abs().max()) < 4 * 0.02 / N**0.5


def test_noise_on_an_orientation_turns_it():
    measured = sensors(noise={"orientation": SignalNoise(noise=0.01)}).measure(true())["orientation"]
    torch.testing.assert_close(measured.norm(dim=-1), torch.ones(N))
    # The vector part of a small turn is half of its angle about each axis.
    torch.testing.assert_close(2 * measured[:, 1:].std(0), torch.full((3,), 0.01), rtol=0.03, atol=0)
    assert float((rotation_matrix(measured)[:, 0] - 1).abs().max()) < 0.01


def test_which_signals_are_turned_is_read_from_their_order():
    """Four numbers that are no quaternion get plain noise."""
    wheels = spec("wheels", 4)
    measured = sensors(noise={"wheels": SignalNoise(noise=0.5)}, specs=(wheels,)).measure({"wheels": torch.zeros(N, 4)})
    torch.testing.assert_close(measured["wheels"].std(0), torch.full((4,), 0.5), rtol=0.03, atol=0)


def test_a_bias_lasts_an_episode_and_the_next_has_another():
    sensor, some = sensors(noise={"position": SignalNoise(bias=0.05)}), torch.arange(0, N, 2)
    first = sensor.reset(torch.arange(N), true())["position"]
    torch.testing.assert_close(first.std(0), torch.full((3,), 0.05), rtol=0.03, atol=0)
    assert float(first.mean(0).abs().max()) < 4 * 0.05 / N**0.5
    assert len(first.unique()) > 0.99 * first.numel(), "every world and element has its own"
    for value in (1.0, 2.0):
        measured = sensor.measure(true(value=value))["position"]
        torch.testing.assert_close(measured - value, first, rtol=0, atol=1e-6)
    again = sensor.reset(some, true(len(some)))["position"]
    assert (again != first[some]).all()
    measured = sensor.measure(true())["position"]
    assert torch.equal(measured[some], again)
    assert torch.equal(measured[1::2], first[1::2]), "the others keep theirs"


def test_a_bias_adds_to_the_noise_and_is_late_with_it():
    sensor = sensors({"odom": SensorModel(latency_s=(STEP, STEP))}, {"position": SignalNoise(noise=0.03, bias=0.04)})
    rows = torch.stack([sensor.measure(true(value=float(t)))["position"] for t in range(1, 5)])
    error = rows - torch.tensor([0.0, 1.0, 2.0, 3.0]).reshape(4, 1, 1)
    assert float(error[2].std()) == pytest.approx(0.05, rel=0.03)
    assert float((error[3] - error[2]).std()) == pytest.approx(0.03 * 2**0.5, rel=0.03)


def test_a_bias_of_an_orientation_turns_it_about_each_axis():
    sensor = sensors(noise={"orientation": SignalNoise(bias=0.02)})
    first = sensor.measure(true())["orientation"]
    torch.testing.assert_close(first.norm(dim=-1), torch.ones(N))
    torch.testing.assert_close(2 * first[:, 1:].std(0), torch.full((3,), 0.02), rtol=0.03, atol=0)
    assert torch.equal(sensor.measure(true())["orientation"], first)


def test_a_reading_keeps_its_noise_until_the_next_arrives():
    """At 25 Hz, read at 100 Hz for 0.8 s, there are 20 readings, each the same to the last bit while it lasts."""
    sensor = sensors({"odom": SensorModel(rate_hz=25.0)}, {"position": SignalNoise(noise=0.1)}, n=50)
    seen = torch.stack([sensor.measure(true(50))["position"][:, 0] for _ in range(80)])
    changes = (seen[1:] != seen[:-1]).sum(0)
    assert 19 <= int(changes.min()) <= int(changes.max()) <= 20


# Time
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("latency", "expected"),
    [
        (0.0, [1.0, 4.0, 9.0, 16.0]),
        (0.02, [0.0, 0.0, 1.0, 4.0]),
        (0.015, [0.0, 0.5, 2.5, 6.5]),  # half way between two steps
        (0.0125, [0.0, 0.75, 3.25, 7.75]),
    ],
)
def test_a_latency_of_steps_and_parts_of_them_by_hand(latency: float, expected: list[float]):
    """The value is 0, 1, 4, 9, 16 at 0, 10, 20, 30, 40 ms; what was before is as it was at the start."""
    sensor = sensors({"odom": SensorModel(latency_s=(latency, latency))}, n=1)
    assert read(sensor, [1.0, 4.0, 9.0, 16.0]) == pytest.approx(expected, abs=1e-4)


def test_a_rate_slower_than_control_by_hand():
    """Samples at 24, 49, 74 ms of a value that grows by 1 per 10 ms: read at the next step, and until the one after."""
    sensor = sensors({"odom": SensorModel(rate_hz=40.0)}, n=1)
    sensor._lines["odom"].phase.fill_(-0.001)
    seen = read(sensor, [float(t) for t in range(1, 9)])
    assert seen == pytest.approx([0.0, 0.0, 2.4, 2.4, 4.9, 4.9, 4.9, 7.4], abs=1e-3)


def test_samples_of_worlds_are_taken_at_different_times():
    """Evenly: the sensor does not know when an episode begins."""
    sensor = sensors({"odom": SensorModel(rate_hz=10.0)})
    age = [t - sensor.measure(true(value=float(t)))["position"][:, 0] for t in range(1, 31)][-1]
    assert -1e-3 < float(age.min()) < 0.1
    assert 9.9 < float(age.max()) < 10.001
    assert float(age.mean()) == pytest.approx(5.0, abs=0.1)


def test_latencies_are_drawn_per_episode_evenly_within_their_bounds():
    sensor = sensors({"odom": SensorModel(latency_s=(0.01, 0.03))})
    seen = [sensor.measure(true(value=float(t)))["position"][:, 0] for t in range(1, 8)]
    late = 7.0 - seen[-1]
    assert float(late.min()) == pytest.approx(1.0, abs=0.01)
    assert float(late.max()) == pytest.approx(3.0, abs=0.01)
    assert float(late.mean()) == pytest.approx(2.0, abs=0.02)
    torch.testing.assert_close(6.0 - seen[-2], late, rtol=0, atol=1e-3, msg="the same all along")


def test_jitter_makes_every_message_later_by_its_own_draw():
    """At 10 Hz, read every 1 ms: from sample to arrival it takes the latency, 20 ms, and half of a normal deviation of
    10 ms: 8.0 ms in the mean; 30 ms more at most, and never less than the latency."""
    n, late = 400, []
    sensor = Sensors((POSITION,), {"odom": SensorModel(rate_hz=10.0, latency_s=(0.02, 0.02), jitter_s=0.01)}, {}, n,
                     0.001, torch.Generator().manual_seed(0))  # fmt: skip
    sensor.reset(torch.arange(n), {"position": torch.zeros(n, 3)})
    before = torch.zeros(n)
    for t in range(1, 1001):
        seen = sensor.measure({"position": torch.full((n, 3), 0.001 * t)})["position"][:, 0]
        late.append((0.001 * t - seen)[seen > before])
        before = seen
    late = torch.cat(late)
    assert len(late) == pytest.approx(10 * n, rel=0.1)
    assert float(late.min()) > 0.02 - 1e-5
    assert float(late.max()) < 0.02 + 0.03 + 0.0011
    assert float(late.mean()) == pytest.approx(0.02 + 0.00798 + 0.0005, abs=0.0005)


def test_a_lost_message_is_lost_and_the_one_before_is_read_again():
    """Every second message of a sensor ten times slower than control never comes, however often one looks."""
    sensor = sensors({"odom": SensorModel(rate_hz=10.0, drop=0.5)}, n=200)
    seen = torch.stack([sensor.measure(true(200, float(t)))["position"][:, 0] for t in range(1, 501)])
    arrived = (seen[1:] != seen[:-1]).sum(0).float()
    assert float(arrived.mean()) == pytest.approx(25.0, abs=1.5)  # of 50 sent in 5 s


def test_drops_of_a_sensor_that_is_read_at_every_step():
    sensor = sensors({"odom": SensorModel(drop=0.25)})
    first = sensor.measure(true(value=1.0))["position"][:, 0]
    second = sensor.measure(true(value=2.0))["position"][:, 0]
    assert float((first == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert float((second < 2).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert torch.equal(second[second < 2], first[second < 2])


def test_what_comes_in_one_message_is_late_together():
    """Velocity is twice the position at every instant, and so is what is read of them; the gyro is of its own."""
    sensor = sensors({"odom": SensorModel(rate_hz=70.0, latency_s=(0.0, 0.03), jitter_s=0.01, drop=0.2)}, n=500)
    for t in range(1, 40):
        now = true(500, float(t))
        measured = sensor.measure(now | {"velocity": 2 * now["velocity"]})
        torch.testing.assert_close(measured["velocity"], 2 * measured["position"], rtol=0, atol=1e-4)
        assert torch.equal(measured["gyro"], now["gyro"])
    assert len(measured["position"].unique()) > 100


def test_an_estimate_lags_behind_its_message():
    """The message is half a step late; the velocity in it is of one and a half steps before that."""
    sensor = sensors(
        {"odom": SensorModel(latency_s=(0.005, 0.005))}, {"velocity": SignalNoise(lag_s=(0.015, 0.015))}, n=1
    )
    measured = [sensor.measure(true(1, float(t))) for t in range(1, 6)]
    assert [float(m["position"][0, 0]) for m in measured] == pytest.approx([0.5, 1.5, 2.5, 3.5, 4.5], abs=1e-3)
    assert [float(m["velocity"][0, 0]) for m in measured] == pytest.approx([0.0, 0.0, 1.0, 2.0, 3.0], abs=1e-3)


def test_a_lag_needs_no_model_of_its_sensor():
    sensor = sensors(noise={"velocity": SignalNoise(lag_s=(0.01, 0.02))})
    for t in range(1, 6):
        measured = sensor.measure(true(value=float(t)))
    assert torch.equal(measured["position"], torch.full((N, 3), 5.0))
    late = 5.0 - measured["velocity"][:, 0]
    assert (float(late.min()), float(late.max())) == pytest.approx((1.0, 2.0), abs=0.01)


def test_an_orientation_between_two_steps_is_between_them():
    """A turn about z of 0.2 rad a step, seen 1.5 steps late; the quaternion's sign makes no difference."""
    sensor = sensors({"odom": SensorModel(latency_s=(0.015, 0.015))}, n=1)
    for t in range(1, 9):
        half = torch.tensor(0.1 * t)
        q = torch.stack((half.cos(), torch.zeros(()), torch.zeros(()), half.sin())).unsqueeze(0)
        seen = sensor.measure(true(1) | {"orientation": q if t % 2 else -q})["orientation"][0]
        assert float(seen.norm()) == pytest.approx(1.0, abs=1e-6)
        if t >= 3:
            expected = torch.tensor(0.1 * (t - 1.5))
            assert abs(float(seen[0] * expected.cos() + seen[3] * expected.sin())) == pytest.approx(1.0, abs=1e-6)


def test_an_image_is_late_as_a_whole():
    """That of one and a half steps ago is the last one before then: images are not mixed."""
    camera = SignalSpec(
        name="image", unit="1", frame="camera", order=("r", "g", "b"), shape=(4, 5, 3), dtype="uint8",
        minimum=(0.0,) * 3, maximum=(255.0,) * 3, max_jump=(255.0,) * 3, max_age_s=0.2,
    )  # fmt: skip
    for latency, steps in ((0.015, 2), (0.02, 2), (0.0, 0)):
        models = {"image": SensorModel(latency_s=(latency, latency), drop=1e-9)}
        sensor = Sensors((camera,), models, {}, 2, STEP, torch.Generator().manual_seed(0))
        sensor.reset(torch.arange(2), {"image": torch.zeros(2, 4, 5, 3, dtype=torch.uint8)})
        for t in range(1, 8):
            seen = sensor.measure({"image": torch.full((2, 4, 5, 3), 30 * t, dtype=torch.uint8)})["image"]
            assert seen.dtype == torch.uint8
            assert (seen == max(0, 30 * (t - steps))).all(), (latency, t)


@settings(max_examples=40)
@given(
    rate=st.one_of(st.none(), st.floats(5.0, 400.0)),
    latency=st.tuples(st.floats(0.0, 0.05), st.floats(0.0, 0.05)).map(sorted),
    jitter=st.sampled_from((0.0, 0.002, 0.03)),
    drop=st.sampled_from((0.0, 0.3)),
    resets=st.lists(st.booleans(), min_size=60, max_size=60),
)
def test_a_reading_is_the_true_value_at_an_instant_that_never_goes_back(rate, latency, jitter, drop, resets):
    """The value is the time since the reset, so the reading is the instant: at least the latency ago (but for the
    first, which is of the start), and now minus the age; without losses not longer ago than the model says."""
    model = SensorModel(rate_hz=rate, latency_s=tuple(latency), jitter_s=jitter, drop=drop)
    n, now, before = 8, torch.zeros(8), torch.zeros(8)
    sensor = sensors({"odom": model}, n=n, specs=(POSITION, AGE))
    for again in resets:
        if again:
            first = sensor.reset(torch.tensor([3]), {"position": torch.zeros(1, 3)})
            assert float(first["position"].abs().max()) == float(first["age"]) == 0.0
            now[3] = before[3] = 0.0
        now = now + STEP
        measured = sensor.measure({"position": now.unsqueeze(-1).repeat(1, 3)})
        instant = measured["position"][:, 0]
        torch.testing.assert_close(instant, now - measured["age"][:, 0], rtol=0, atol=1e-4)
        assert (instant >= before - 1e-6).all(), "never back"
        fresh = instant > 1e-6
        assert (now - instant >= latency[0] - 1e-4)[fresh].all(), "never early"
        if drop == 0.0:
            assert (now - instant <= model.longest_s + STEP + 1e-4).all()
        before = instant


# Ages, episodes, saved states
# ---------------------------------------------------------------------------------------------------------------------
def test_an_age_is_a_signal():
    """A sensor whose messages come at once and at every step is never old; the other one's age is what it is."""
    imu_age = replace(AGE, name="imu_age", sensor="imu")
    sensor = sensors({"odom": SensorModel(latency_s=(0.015, 0.015))}, n=1, specs=(*SPECS, AGE, imu_age))
    ages = [sensor.measure(true(1, float(t))) for t in range(1, 5)]
    assert [float(m["age"]) for m in ages] == pytest.approx([0.01, 0.015, 0.015, 0.015], abs=1e-5)
    assert [float(m["imu_age"]) for m in ages] == [0.0] * 4


def test_what_a_sensor_saw_before_the_reset_is_forgotten():
    sensor = sensors({"odom": SensorModel(latency_s=(0.02, 0.02), drop=0.5)}, n=4, start=7.0)
    for _ in range(4):
        sensor.measure(true(4, 7.0))
    some = torch.tensor([1, 3])
    first = sensor.reset(some, true(2, 1.0))["position"]
    assert torch.equal(first, torch.ones(2, 3))
    for _ in range(5):
        seen = sensor.measure(true(4, 2.0))["position"]
        assert (seen[some] <= 2.0).all()


def test_readings_given_out_do_not_change_later():
    sensor = sensors({"odom": SensorModel(latency_s=(0.02, 0.02))}, n=2)
    seen = sensor.measure(true(2, 5.0))["position"]
    sensor.reset(torch.tensor([1]), true(1, 9.0))
    assert torch.equal(seen, torch.zeros(2, 3))


def test_saved_sensors_go_on_bit_for_bit():
    models = {
        "odom": SensorModel(rate_hz=60.0, latency_s=(0.0, 0.03), jitter_s=0.005, drop=0.1),
        "imu": SensorModel(jitter_s=0.01),
    }
    noise = {
        "position": SignalNoise(noise=0.01, bias=0.1),
        "orientation": SignalNoise(bias=0.1),
        "velocity": SignalNoise(lag_s=(0.0, 0.02)),
    }
    first, second = (sensors(models, noise, n=20, seed=seed, specs=(*SPECS, AGE)) for seed in (0, 1))
    for t in range(5):
        first.measure(true(20, float(t)))
    for t in range(7):
        second.measure(true(20, 3.0 * t))
    saved = {name: value.clone() for name, value in first.state_dict().items()}
    state = first._generator.get_state()

    def going_on(sensor: Sensors) -> list[dict[str, torch.Tensor]]:
        measured = [sensor.measure(true(20, float(t))) for t in range(5, 15)]
        return [*measured, sensor.reset(torch.tensor([4]), true(1)), sensor.measure(true(20))]

    expected = going_on(first)
    second.load_state_dict(saved)
    second._generator.set_state(state)
    for found, wanted in zip(going_on(second), expected, strict=True):
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


# What is refused, and what is told
# ---------------------------------------------------------------------------------------------------------------------
def test_an_unknown_sensor_or_signal_is_refused_with_the_known():
    with pytest.raises(ValueError, match="imu, odom"):
        sensors({"position": SensorModel()})
    with pytest.raises(ValueError, match="gyro, orientation, position, velocity"):
        sensors(noise={"odom": SignalNoise()})


def test_images_have_no_noise_here():
    camera = replace(POSITION, name="image", shape=(4, 5, 3), dtype="uint8")
    with pytest.raises(ValueError, match="image"):
        sensors(noise={"image": SignalNoise(noise=1.0)}, specs=(camera, GYRO))


@pytest.mark.parametrize(
    "wrong",
    [{"latency_s": (0.02, 0.01)}, {"latency_s": (-0.01, 0.0)}, {"jitter_s": -0.1}, {"drop": 1.0}, {"rate_hz": 0.0}],
)
def test_a_message_before_its_time_and_other_nonsense_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[0]):
        SensorModel(**wrong)


def test_the_longest_latency_is_that_of_one_signal():
    """The slow estimate is in the quick message: 10 + 20 ms; the other message takes 5 ms and three of its jitters."""
    models = {"odom": SensorModel(latency_s=(0.0, 0.01)), "imu": SensorModel(latency_s=(0.0, 0.005), jitter_s=0.004)}
    assert longest_latency(SPECS, models, {}) == pytest.approx(0.017)
    assert longest_latency(SPECS, models, {"velocity": SignalNoise(lag_s=(0.0, 0.02))}) == pytest.approx(0.030)
    assert longest_latency(SPECS, {"odom": SensorModel(rate_hz=50.0)}, {}) == pytest.approx(0.02)
    assert longest_latency(SPECS, {}, {}) == 0.0
