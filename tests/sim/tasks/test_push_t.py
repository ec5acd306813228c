"""Push-T is the published environment: sizes and score by hand, behaviour against its own recordings and itself."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# (gym_pusht is nobody's dependency, and mujoco's compiled module carries no type information.)

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from isthmus_sim.engine import UnsupportedError
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.robots.pusher.description import CAMERA_ROBOT, GOAL, ROBOT, to_metres, to_pixels
from isthmus_sim.robots.pusher.mjcf import pusher_mjcf
from isthmus_sim.task import Task
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.push_t import (
    STANDARD_SEEDS,
    PushT,
    PushTConfig,
    Start,
    coverage,
    gym_pusht_start,
    paper_start,
    standard,
)

DATA = Path(__file__).parents[3].parent / "shared" / "data" / "pusht_human" / "pusht_cchi_v7_replay.zarr"
NO_GYM = "gym-pusht is not installed: pip install --no-deps gym-pusht 'pymunk<7' shapely pygame cffi pycparser"
DONE: Start = (60.0, 60.0, *GOAL)
FAR: Start = (450.0, 60.0, 256.0, 256.0, 0.0)


def made_of(task: Task, n: int) -> Env:
    return Env(task, make_engine(task.scene, n, "mujoco"), seed=0, measure=True)


def env(*starts: Start, steps: int = 300) -> Env:
    """One world for each start, reset."""
    made = made_of(PushT(ROBOT, PushTConfig(starts=starts, episode_steps=steps)), len(starts))
    made.reset()
    return made


def read(made: Env) -> dict[str, Tensor]:
    return {name: value.double() for name, value in made.signals.items()}


def send(made: Env, target: ArrayLike) -> None:
    """Command the discs to targets (n, 2) px."""
    made.step_commands({"target_position": torch.as_tensor(np.asarray(target, np.float32))})


def rows(env: Env) -> Tensor:
    """(n, 5): disc, block, angle in px and rad, as data sets have them."""
    return env.task.observe(env.signals, {})["actor"]


def pose(x: float, y: float, angle: float) -> float:
    """Coverage with the block there."""
    return float(coverage(torch.tensor([[x, y]]), torch.tensor([[angle]], dtype=torch.float64)))


# Interface
# ---------------------------------------------------------------------------------------------------------------------
def test_the_interface_is_the_published_one():
    task = make_task("push_t")
    assert {name: group.shape for name, group in task.groups.items()} == {"actor": (5,), "critic": (8,)}
    assert (task.robot.control_period_s, task.episode_steps, list(task.rewards)) == (0.1, 300, ["coverage"])
    made = made_of(task, 3)
    made.reset()
    assert made.step(torch.zeros(3, 2)).metrics["coverage"].shape == (3,)


def test_pixels_go_down_and_metres_up():
    """The image's corner at the top left is to the left and beyond the middle of the table."""
    torch.testing.assert_close(to_metres(torch.tensor([[0.0, 0.0]])), torch.tensor([[-0.256, 0.256]]))
    torch.testing.assert_close(to_pixels(torch.tensor([[0.1, 0.1]])), torch.tensor([[356.0, 156.0]]))


def test_signals_and_observation_by_hand():
    # The block's origin at (-0.05, 0): its joints hold its centre of mass, 45 mm along the stem, which is turned.
    centre = torch.tensor([[-0.05 + 0.045 * math.sin(0.5), -0.045 * math.cos(0.5), 0.5]])
    state = {"agent_position": torch.tensor([[0.1, -0.2]]), "block_joint_position": centre}
    task = PushT(ROBOT, PushTConfig())
    signals = task.sense(state, {})
    expected = [356.0, 456.0, 206.0, 256.0, 2 * math.pi - 0.5]  # counter-clockwise is negative here, and wrapped
    torch.testing.assert_close(task.observe(signals, {})["actor"], torch.tensor([expected]))
    for spec in ROBOT.signals:
        values = zip(spec.minimum, signals[spec.name][0].tolist(), spec.maximum, strict=True)
        assert all(low <= value <= high for low, value, high in values)


def test_actions_reach_the_whole_table():
    command = PushT(ROBOT, PushTConfig()).act(torch.tensor([[-1.0, 0.5], [1.0, 0.0]]), {}, {})["target_position"]
    assert command.tolist() == [[0.0, 384.0], [512.0, 256.0]]


def test_one_signal_measures_what_the_command_sets():
    """By unit, frame and order, as the robot side finds out where the disc is before it moves it slowly."""
    (command,) = ROBOT.commands
    same = [s.name for s in ROBOT.signals if (s.unit, s.frame, s.order) == (command.unit, command.frame, command.order)]
    assert same == ["agent_position"]


def test_there_is_no_wrench():
    with pytest.raises(UnsupportedError, match="takes no wrench"):
        made_of(make_task("push_t"), 1).engine.apply_wrench(torch.zeros(1, 3), torch.zeros(1, 3))


# Score
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("along_bar", "along_stem", "expected"),
    [
        (0, 0, 1.0),
        (12, 0, (108 * 30 + 18 * 90) / 6300),
        (-30, 0, (90 * 30) / 6300),
        (0, 10, (120 * 20 + 30 * 80 + 30 * 10) / 6300),  # the bar has come over the goal's stem
        (0, -10, (120 * 20 + 30 * 80 + 30 * 10) / 6300),
        (0, 200, 0.0),
        (300, 0, 0.0),
    ],
)
def test_coverage_by_hand(along_bar: float, along_stem: float, expected: float):
    x, y, angle = GOAL
    c, s = math.cos(angle), math.sin(angle)
    found = pose(x + c * along_bar - s * along_stem, y + s * along_bar + c * along_stem, angle + 2 * math.pi)
    assert found == pytest.approx(expected, abs=1e-6)


@given(st.floats(-80, 80), st.floats(-80, 80), st.floats(-math.pi, math.pi))
def test_coverage_is_symmetric(along_bar: float, along_stem: float, turn: float):
    """The T is its own mirror image about the stem; and the goal covers as much of the block as that of the goal."""
    x, y, angle = GOAL

    def moved(across: float, along: float, turn: float) -> float:
        c, s = math.cos(angle), math.sin(angle)
        return pose(x + c * across - s * along, y + s * across + c * along, angle + turn)

    found = moved(along_bar, along_stem, turn)
    assert 0 <= found <= 1
    assert found == pytest.approx(moved(-along_bar, along_stem, -turn), abs=1e-5)
    c, s = math.cos(-turn), math.sin(-turn)
    back = (-c * along_bar + s * along_stem, -s * along_bar - c * along_stem)
    assert found == pytest.approx(moved(*back, -turn), abs=1e-5)


# Episodes
# ---------------------------------------------------------------------------------------------------------------------
def test_starts_of_the_paper():
    """The first three human demonstrations, as recorded: seeds 0, 1, 2."""
    recorded = [
        (222.0, 97.0, 222.99382019, 381.59902954, 3.00799942),
        (87.0, 285.0, 158.1625061, 357.18032837, 5.97062063),
        (218.0, 65.0, 178.3586731, 211.54847717, 2.99981427),
    ]
    for seed, expected in enumerate(recorded):
        *places, angle = paper_start(seed)
        assert places == pytest.approx(expected[:4], rel=1e-6)
        assert math.cos(angle - expected[4]) == pytest.approx(1, abs=1e-12)


def test_every_world_begins_at_its_own_start():
    task = make_task("push_t-standard")
    assert isinstance(task, PushT)
    assert tuple(range(100_000, 100_050)) == STANDARD_SEEDS
    made = made_of(task, 60)
    expected = torch.tensor(standard().starts)
    expected[:, 4] %= 2 * math.pi
    expected = expected[torch.arange(60) % 50]
    torch.testing.assert_close(made.reset()["actor"], expected, rtol=0, atol=1e-3)
    made.step(torch.zeros(60, 2))
    torch.testing.assert_close(made.reset()["actor"], expected, rtol=0, atol=1e-3)


def test_drawn_starts_are_the_published_ranges():
    made = made_of(make_task("push_t"), 3000)
    seen = made.reset()["actor"].double()
    centre = seen[:, 2:4] + 45 * torch.stack((-seen[:, 4].sin(), seen[:, 4].cos() - 1), dim=-1)
    for values, low, high in ((seen[:, :2], 50, 450), (centre, 100, 400), (seen[:, 4:], 0, 2 * math.pi)):
        spread = (values - low) / (high - low)
        assert float(spread.min()) == pytest.approx(0, abs=0.01)
        assert float(spread.max()) == pytest.approx(1, abs=0.01)
        torch.testing.assert_close(spread.mean(0), torch.full_like(spread[0], 0.5), rtol=0, atol=0.02)


def test_done_is_the_end_and_rewarded():
    """World 0 stands in its goal, world 1 does not, world 2 has no numbers."""
    made = env(DONE, FAR, FAR, steps=2)
    made.engine.qpos[2, 3] = math.nan
    first = made.step(torch.zeros(3, 2))
    assert first.succeeded.tolist() == [True, False, False]
    assert first.terminated.tolist() == [True, False, True]
    assert first.reward[0] == 1.0
    assert 0 < float(first.reward[1]) < 1
    assert first.reward[2] == 0.0
    assert first.diverged == 1
    assert first.ended.tolist() == [0, 2]
    assert first.episode_terms["coverage"].tolist() == [1.0, 0.0]
    assert torch.isfinite(first.observations["actor"]).all()
    second = made.step(torch.zeros(3, 2))
    assert second.truncated.tolist() == [False, True, False]
    assert second.succeeded.tolist() == [True, False, False]


@pytest.mark.parametrize(("short", "done"), [(0.9501, True), (0.9499, False)])
def test_the_threshold(short: float, done: bool):
    """Shifted along the bar by d px, the bar leaves 30·d and the stem 90·d of the goal's 6300 px² uncovered."""
    d = (1 - short) * 6300 / (30 + 90)
    x, y, angle = GOAL
    made = env((60.0, 60.0, x + d * math.cos(angle), y + d * math.sin(angle), angle))
    step = made.step(torch.full((1, 2), -0.9))
    assert float(step.metrics["coverage"]) == pytest.approx(short, abs=1e-5), "that of the step, not of the next start"
    assert bool(step.succeeded) is done
    assert float(step.reward) == pytest.approx(min(1.0, short / 0.95), abs=1e-5)


def test_a_saved_state_goes_on_bit_for_bit():
    made, again = env(*standard().starts[:4]), env(*standard().starts[4:8])
    actions = 2 * torch.rand(20, 4, 2, generator=torch.Generator().manual_seed(1)) - 1
    for action in actions[:10]:
        made.step(action)
    again.load_state_dict({name: value.clone() for name, value in made.state_dict().items()})
    for action in actions[10:]:
        assert torch.equal(made.step(action).observations["critic"], again.step(action).observations["critic"])


# Mechanics
# ---------------------------------------------------------------------------------------------------------------------
def test_the_disc_is_the_published_pd_and_nothing_slows_it():
    """Ten steps of 10 ms: v += (100(x* - x) - 20v)·dt, x += v·dt; beside the block and through it."""
    made = env(FAR, (256.0, 120.0, 256.0, 256.0, math.pi))
    target = np.array([[100.0, 300.0], [256.0, 400.0]])
    place, velocity = np.array([FAR[:2], (256.0, 120.0)]), np.zeros((2, 2))
    for _ in range(6):
        send(made, target)
        for _ in range(10):
            velocity += (100 * (target - place) - 20 * velocity) * 0.01
            place += velocity * 0.01
        np.testing.assert_allclose(rows(made)[:, :2], place, atol=5e-3)
    assert float(rows(made)[1, 3]) > 300, "it has pushed the block"


def test_the_block_moves_only_while_it_is_pushed():
    made = env((256.0, 200.0, 256.0, 256.0, 0.0))
    places = []
    for target in (280.0, 280.0, 280.0, 160.0, 160.0, 160.0):
        send(made, [[256.0, target]])
        places.append(rows(made)[0, 2:].clone())
    moving, left, later = places[2], places[4], places[5]
    assert float(moving[1]) > 260
    assert float(left[1] - moving[1]) < 20, "the disc turned round, and the block did not go on"
    assert torch.equal(left, later), "it stands still, to the last bit"


@pytest.mark.parametrize("lever", [0.0, 30.0, -45.0])
def test_a_push_turns_the_block_as_published(lever: float):
    """Without friction the first motion is one of the force alone: angle over way is m·lever/I, I/m = 3000 px²."""
    made = env((256.0 + lever, 240.9, 256.0, 256.0, 0.0))
    send(made, [[256.0 + lever, 244.0]])
    centre = rows(made)[0, 2:4].double()
    angle = math.remainder(float(rows(made)[0, 4]), 2 * math.pi)
    way = float(centre[1] + 45 * math.cos(angle)) - (256 + 45)
    assert way > 0.3
    assert angle / way == pytest.approx(lever / 3000, rel=0.02, abs=1e-6)


@pytest.mark.parametrize("direction", [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_walls_keep_the_block_and_not_the_disc(direction: tuple[int, int]):
    """Pushed by its bar against a wall, at 7 and 504 px, the T gives way sideways, pressed into it by 20 px at most."""
    dx, dy = direction
    angle = math.atan2(-dx, dy)  # the stem points to where it is pushed
    made = env((256.0 - 40 * dx, 256.0 - 40 * dy, 256.0, 256.0, angle))
    for reach in np.linspace(256, 512, 40):
        send(made, [[256.0 + dx * (reach - 256), 256.0 + dy * (reach - 256)]])
        seen = rows(made)[0]
        tip = seen[2:4] + 120 * torch.tensor([-math.sin(seen[4]), math.cos(seen[4])])
        assert float(tip.min()) > 7 - 20
        assert float(tip.max()) < 504 + 20
        assert torch.isfinite(seen).all()
    assert float((seen[:2] - torch.tensor([256.0 + 256 * dx, 256.0 + 256 * dy])).norm()) < 10


def test_what_is_only_seen_changes_nothing():
    """And the block that is seen is where the block that collides is."""
    models = [mujoco.MjModel.from_xml_string(pusher_mjcf(scene=scene)) for scene in (False, True)]
    ends = []
    for model in models:
        data = mujoco.MjData(model)
        data.qpos[:], data.ctrl[:] = (0.0, 0.08, 0.0, 0.0, 0.3), (0.01, -0.1)
        mujoco.mj_step(model, data, 60)
        ends.append(data.qpos.copy())
    assert np.array_equal(*ends)
    assert ends[0][4] != 0.3, "it was pushed"
    block = models[1].body("block").id
    boxes = {(group, *np.round(np.append(pos[:2], size[:2]), 9).tolist()) for body, group, pos, size in zip(
        models[1].geom_bodyid, models[1].geom_group, models[1].geom_pos, models[1].geom_size, strict=True
    ) if body == block}  # fmt: skip
    assert {box[1:] for box in boxes if box[0] == 3} == {box[1:] for box in boxes if box[0] != 3}
    assert len(boxes) == 4


# The published environment itself
# ---------------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Human:
    """Demonstrations of different length: per episode states (t, 5) and actions (t, 2), px and rad."""

    states: list[NDArray[np.float64]]
    actions: list[NDArray[np.float64]]

    def start(self, episode: int) -> Start:
        x, y, a, b, angle = self.states[episode][0].tolist()
        return x, y, a, b, angle


@pytest.fixture(scope="module")
def human() -> Human:
    """Every twentieth of the 206 demonstrations. A recording is what the published environment did, to 1e-5 px."""
    if not DATA.exists():
        pytest.skip(f"no human demonstrations at {DATA}")
    zarr = pytest.importorskip("zarr", reason="zarr is not installed: extra `data`")
    group: Any = zarr.open_group(str(DATA), mode="r")
    ends = group["meta/episode_ends"][:]
    states, actions = (
        np.split(group[f"data/{name}"][:].astype(np.float64), ends[:-1])[::20] for name in ("state", "action")
    )
    return Human(states=states, actions=actions)


def replay(human: Human) -> list[NDArray[np.float64]]:
    """Per episode the states (t, 5) that the recorded actions lead to here."""
    n, length = len(human.states), max(map(len, human.states))
    task = PushT(ROBOT, PushTConfig(starts=tuple(human.start(i) for i in range(n))))
    engine, ids, seen = make_engine(task.scene, n, "mujoco"), torch.arange(n), []
    state = engine.advance(None, task.reset(engine, ids, ids, torch.Generator()))
    for t in range(length):
        seen.append(task.observe(task.sense(state, {}), {})["actor"].double())
        actions = torch.tensor(np.stack([action[min(t, len(action) - 1)] for action in human.actions]))
        state = engine.advance({"target_position": actions})
    return [torch.stack(seen)[: len(states), i].numpy() for i, states in enumerate(human.states)]


def best_coverage(states: NDArray[np.float64]) -> float:
    rows = torch.from_numpy(states)
    return float(coverage(rows[:, 2:4], rows[:, 4:]).max())


def test_recorded_human_actions_lead_to_the_recorded_coverage(human: Human):
    ours = replay(human)
    for states, recorded in zip(ours, human.states, strict=True):
        np.testing.assert_allclose(states[:, :2], recorded[:, :2], atol=5e-3, err_msg="the disc")
    off = [abs(best_coverage(a) - best_coverage(b)) for a, b in zip(ours, human.states, strict=True)]
    away = np.concatenate([np.linalg.norm(a[:, 2:4] - b[:, 2:4], axis=1) for a, b in zip(ours, human.states)])  # noqa: B905
    assert np.median(off) < 0.003
    assert max(off) < 0.02
    assert np.median(away) < 0.1, "px, of the block's place at any moment"


@pytest.fixture(scope="module")
def published() -> Any:
    """gym-pusht's environment, where it is installed."""
    pytest.importorskip("gym_pusht.envs", reason=NO_GYM)  # the benchmark of that name may be on the path
    from gym_pusht.envs.pusht import PushTEnv

    return PushTEnv()


def put(published: Any, start: Start) -> None:
    """The published environment's world into that state, at rest."""
    published.reset(seed=0)
    published.agent.position, published.agent.velocity = start[:2], (0, 0)
    published.block.angle = start[4]  # before its position: it turns about its centre of mass
    published.block.position = start[2:4]
    published.block.velocity, published.block.angular_velocity = (0, 0), 0


def test_starts_are_gym_pushts(published: Any):
    for seed in (0, 7, 100_000):
        seen, _ = published.reset(seed=seed)
        *places, angle = gym_pusht_start(seed)
        assert [*places, angle % (2 * math.pi)] == pytest.approx(seen.tolist(), abs=1e-4)


def test_coverage_is_gym_pushts(published: Any):
    for seed in range(20):
        start = (*gym_pusht_start(seed)[:2], 250.0 + 2 * seed, 250.0 - seed, 0.3 * seed)
        put(published, start)
        assert pose(*start[2:]) == pytest.approx(published._get_coverage(), abs=1e-5)


def test_behaves_as_gym_pusht(published: Any):
    """The disc goes for a place on the far side of the block, and pushes it on its way: 2 s in eight worlds."""
    starts = tuple(gym_pusht_start(seed) for seed in range(8))
    made = env(*starts)
    targets = torch.tensor([[2 * b[2] - b[0], 2 * b[3] - b[1]] for b in starts]).clamp(60, 450)
    apart = []
    for world, start in enumerate(starts):
        put(published, start)
        for _ in range(20):
            seen, _, _, _, _ = published.step(targets[world].double().numpy())
        apart.append(seen)
    for _ in range(20):
        send(made, targets)
    difference = np.abs(rows(made).numpy() - np.array(apart))
    moved = np.linalg.norm(np.array(apart)[:, 2:4] - np.array(starts)[:, 2:4], axis=1)
    assert (moved > 10).sum() >= 4, "there were pushes"
    assert difference[:, :2].max() < 5e-3
    assert np.median(difference[:, 2:4]) < 0.5


# Image
# ---------------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def image() -> Callable[..., NDArray[np.uint8]]:
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    from isthmus_sim.robots.pusher.drawing import image

    return image


def test_the_image_shows_what_is_where(image: Callable[..., NDArray[np.uint8]]):
    seen = image((100.0, 50.0), (400.0, 300.0, 0.0))
    assert (seen.shape, seen.dtype) == ((96, 96, 3), np.uint8)

    def at(x: float, y: float) -> tuple[int, ...]:
        return tuple(seen[int(y * 96 / 512), int(x * 96 / 512)].tolist())

    assert at(100, 50) == (78, 126, 255), "the disc"
    assert at(400, 315) == at(400, 400) == (143, 163, 184), "bar and stem"
    assert at(245, 267) == (144, 238, 144), "the goal"
    assert at(400, 100) == (255, 255, 255)
    assert image((100.0, 50.0), (400.0, 300.0, 0.0), size=224).shape == (224, 224, 3)


def test_the_image_is_the_recorded_one(image: Callable[..., NDArray[np.uint8]], human: Human):
    zarr = pytest.importorskip("zarr")
    group: Any = zarr.open_group(str(DATA), mode="r")
    frames = group["data/img"][:60:4]  # of the first episode
    drawn = np.stack([image(state[:2], state[2:]) for state in human.states[0][:60:4]])
    difference = np.abs(drawn.astype(float) - frames)
    assert difference.mean() < 0.3, "of 255"
    assert (difference.max(-1) > 30).mean() < 0.005


def test_a_state_is_found_again_in_its_readings():
    """Of worlds that are drawn, and have been pushed about."""
    made = made_of(make_task("push_t"), 16)
    made.reset()
    for _ in range(20):
        send(made, np.full((16, 2), 256.0))
    states = made.task.state_of(made.signals)
    signals = made.task.sense(states, {})
    for name, value in read(made).items():
        torch.testing.assert_close(signals[name].double(), value, rtol=0, atol=1e-3)
    assert states.keys() == made.task.start(torch.arange(1), torch.zeros(1), {}, made.generator).keys()


def test_a_robot_with_a_camera_sees_the_table_as_published(image: Callable[..., NDArray[np.uint8]]):
    starts = (FAR, DONE)
    made = made_of(PushT(CAMERA_ROBOT, PushTConfig(starts=starts)), 2)
    made.reset()
    drawn = np.stack([image(start[:2], start[2:]) for start in starts])
    np.testing.assert_array_equal(made.signals["camera_scene"].numpy(), drawn)
