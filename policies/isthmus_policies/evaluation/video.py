"""Videos of a policy at work: rendered episodes and missions, with captions and a map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from isthmus_datasets.format.images.video import VideoWriter
from isthmus_policies.evaluation.runners import PolicyRunner
from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import State
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env, Step
from isthmus_sim.rendering.motion import Motion
from isthmus_sim.rendering.render import FLOWN, MotionRenderer, base_position
from isthmus_sim.scene import Scene, free_body, joint_motion
from isthmus_sim.task import BaseMotion, Goal, Task
from isthmus_sim.terms.rewards import TURNING_GOAL, VELOCITY_GOAL

FPS = 30
EPISODES = 3
_MARGIN, _MAP = 14, (176, 132)
_CARD, _TEXT, _FAINT = (18, 24, 33, 176), (255, 255, 255, 255), (205, 214, 226, 255)
_MAP_REFERENCE = (122, 173, 255)

Frame = NDArray[np.uint8]
Progress = Callable[[int, int], None]
"""Called with frames done and frames in all."""

Text = Callable[[float], str]
"""A function of a time in s."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A movement and what to write over it: a title and a note, each of a time in s since the movement's start."""

    motion: Motion
    title: Text
    note: Text


def film(scene: Scene, clips: list[Clip], path: Path, *, on_frame: Progress | None = None) -> Path:
    """Render `clips` one after another into one video; returns `path`. Raises NoRendererError, OSError."""
    total = sum(len(clip.motion.at_rate(FPS).time) for clip in clips)
    with MotionRenderer(scene) as renderer, VideoWriter(path, fps=FPS) as video:
        frames = (frame for clip in clips for frame in _captioned(renderer, scene, clip))
        for done, frame in enumerate(frames, 1):
            video.write(frame)
            if on_frame:
                on_frame(done, total)
    return path


def episode_video(task: Task, make_runner: Callable[[Env], PolicyRunner], seed: int, path: Path) -> Path:
    """A video of `EPISODES` episodes that start from `seed`, on different surroundings from the easiest level to the
    hardest where a task has them; returns `path`.

    Raises:
        NoRendererError: this machine cannot draw without a display.
        UnsupportedError: the scene cannot be simulated by MuJoCo, which draws it.
    """
    engine = "mujoco" if "mujoco" in task.engines else task.engines[0]
    env = Env(task, make_engine(task.scene, EPISODES, engine), seed)
    env.level = torch.linspace(0, task.levels - 1, EPISODES, device=env.device).round().long()
    titles = [f"episode {i + 1} of {EPISODES}{_where(env, i)}" for i in range(EPISODES)]
    clips = _record_episodes(env, make_runner(env), titles)
    env.close()
    return film(task.scene, clips, path)


def _where(env: Env, world: int) -> str:
    """Which surroundings a world has, where they differ."""
    task = env.task
    if task.levels == 1:
        return ""
    kind = f"{task.kinds[world % len(task.kinds)]}, " if task.kinds else ""
    return f"  ·  {kind}level {int(env.level[world])} of 0 to {task.levels - 1}"


def mission_video(
    robot: RobotDescription, arrays: Mapping[str, NDArray], phases: Sequence[tuple[str, float, float]], note: Text,
    path: Path, *, on_frame: Progress | None = None,
) -> Path:  # fmt: skip
    """A video of a recorded mission; returns `path`.

    Args:
        robot: It is drawn alone on its ground.
        arrays: time (t,) s and what `recorded_state` takes, as recorded; reference_position (t, 3) m where there is
            one.
        phases: Name, start and end in s.
        note: What to write below the phase's name, of a time in s since the record's start.

    Raises NoRendererError where this machine cannot draw without a display.
    """
    motion = Motion(
        time=arrays["time"], state=recorded_state(robot, arrays), reference=arrays.get("reference_position")
    )

    def phase(time: float) -> str:
        return next((name for name, _, end in phases if time + arrays["time"][0] < end), phases[-1][0])

    return film(moving_robot(robot), [Clip(motion=motion, title=phase, note=note)], path, on_frame=on_frame)


def task_video(
    scene: Scene, things: Mapping[str, NDArray], phases: Sequence[tuple[str, float, float]], note: Text, path: Path,
    *, on_frame: Progress | None = None,
) -> Path:  # fmt: skip
    """A video of a recorded mission in a task's scene; returns `path`.

    Args:
        scene: What is drawn.
        things: time (t,) s since the mission's start and state/NAME (t, *shape) by the names of the scene's quantities.
        phases: Name, start and end in s; what lies before and after is not shown.
        note: What to write below the phase's name, of a time in s since the mission's start.

    Raises NoRendererError where this machine cannot draw without a display.
    """
    shown = (things["time"] >= phases[0][1]) & (things["time"] <= phases[-1][2])
    state = {name.removeprefix("state/"): rows[shown] for name, rows in things.items() if name.startswith("state/")}
    motion = Motion(time=things["time"][shown], state=state)
    start_s = float(motion.time[0])

    def phase(time: float) -> str:
        return next((name for name, _, end in phases if time + start_s < end), phases[-1][0])

    return film(
        scene, [Clip(motion=motion, title=phase, note=lambda time: note(time + start_s))], path, on_frame=on_frame
    )


def moving_robot(robot: RobotDescription) -> Scene:
    """A robot by itself, of which is read where it is: its base where that is free, and its joints."""
    base = free_body(robot.base) if robot.base else ()
    joints = joint_motion(tuple(robot.joints)) if robot.joints else ()
    return Scene(robot=robot, timestep_s=robot.control_period_s, quantities=(*base, *joints))


def recorded_state(robot: RobotDescription, arrays: Mapping[str, NDArray]) -> dict[str, NDArray[np.float64]]:
    """Where the robot was at `time` (t,) s of a mission's record, by the names of `moving_robot`'s quantities.

    arrays: for a free base its position (t, 3) m and orientation (t, 4) wxyz; for joints, in whatever order,
    reading/joint_position (s, j) rad, its reading_order (j,) and its reading_time (s,).
    """
    state = {"position": arrays["position"], "orientation": arrays["orientation"]} if robot.base else {}
    return state | ({"joint_position": _joints(tuple(robot.joints), arrays)} if robot.joints else {})


def _joints(names: Sequence[str], arrays: Mapping[str, NDArray]) -> NDArray[np.float64]:
    """The joints (t, j) at the times of the true state."""
    places = [list(arrays["reading_order/joint_position"]).index(name) for name in names]
    read_s, angles = arrays["reading_time/joint_position"], arrays["reading/joint_position"]
    return np.stack([np.interp(arrays["time"], read_s, angles[:, i]) for i in places], axis=1)


def _record_episodes(env: Env, runner: PolicyRunner, titles: Sequence[str]) -> list[Clip]:
    """The first episode of every world, all just reset, with a remark on how it ended."""
    records = [([_row(env.state, world)], [_row(env.goal, world)]) for world in range(env.num_envs)]
    endings: dict[int, str] = {}
    while len(endings) < env.num_envs:
        step = runner.step(env)
        runner.restart(step.ended)
        for world in set(step.ended.tolist()) - endings.keys():
            endings[world] = _ending(step, world)
        for world in set(range(env.num_envs)) - endings.keys():
            states, goals = records[world]
            states.append(_row(env.state, world))
            goals.append(_row(env.goal, world))
    return [_clip(env.task, *record, titles[world] + endings[world]) for world, record in enumerate(records)]


def _ending(step: Step, world: int) -> str:
    if step.succeeded[world]:
        return "  ·  succeeds"
    return "  ·  fails" if step.terminated[world] else ""


def _clip(task: Task, states: list[State], goals: list[Goal], title: str) -> Clip:
    """States and goals of one world, (1, *shape), a control step apart."""
    period_s = task.robot.control_period_s
    reference = None
    if "reference_position" in goals[0]:
        reference = np.stack([goal["reference_position"][0].double().cpu().numpy() for goal in goals])
    motion = Motion.of_states(np.arange(len(states), dtype=np.float64) * period_s, states, reference)
    notes = [_note(task, state, goal) for state, goal in zip(states, goals, strict=True)]
    return Clip(
        motion=motion, title=lambda _: title, note=lambda time: notes[min(int(time / period_s), len(notes) - 1)]
    )


def _row(tensors: State, world: int) -> State:
    """Copies of one world's rows, (1, *shape)."""
    return {name: value[world : world + 1].clone() for name, value in tensors.items()}


def _note(task: Task, state: State, goal: Goal) -> str:
    """What the robot is asked for, and what it does; the task's metrics where its state does not say that, as with a
    fixed arm."""
    if "reference_position" in goal and "position" in state:
        return off_reference((state["position"] - goal["reference_position"])[0].double().cpu().numpy())
    moves = {"orientation", "linear_velocity", "angular_velocity"} <= state.keys()
    if VELOCITY_GOAL in goal and TURNING_GOAL in goal and moves:
        base = BaseMotion.of(state)
        true = (*base.velocity[0, :2].tolist(), float(base.turning[0, 2]))
        return velocities((*goal[VELOCITY_GOAL][0].tolist(), float(goal[TURNING_GOAL][0])), true)
    metrics = task.metrics(state, goal).items()
    return "     ".join(f"{name} {float(value[0]):.3f}" for name, value in metrics)


def off_reference(offset: NDArray[np.float64]) -> str:
    """A note for a robot that should be at a place: how far from it, `offset` (3,) m."""
    return f"{100 * np.linalg.norm(offset):.0f} cm from the reference"


def velocities(asked: Sequence[float], true: Sequence[float]) -> str:
    """A note for a robot that should move so: forward m/s, left m/s, turning left rad/s."""
    return "     ".join(
        f"{name} {_signed(is_)} of {_signed(should)} {unit}"
        for name, unit, should, is_ in zip(
            ("forward", "left", "turn"), ("m/s", "m/s", "rad/s"), asked, true, strict=True
        )
    )


def _signed(value: float) -> str:
    """One decimal, and no minus sign before a zero."""
    return f"{round(value, 1) + 0.0:+.1f}"


# --- what is written over the images ---


def _captioned(renderer: MotionRenderer, scene: Scene, clip: Clip) -> Iterator[Frame]:
    moments = clip.motion.at_rate(FPS)
    place = base_position(scene, moments)
    chart = None if place is None else _Map(place, moments.reference)
    for i, frame in enumerate(renderer.frames(clip.motion, fps=FPS)):
        time = moments.time[i] - moments.time[0]
        image = Image.fromarray(frame).convert("RGBA")
        image.alpha_composite(_caption(clip.title(time), f"{time:4.1f} s     {clip.note(time)}"), (_MARGIN, _MARGIN))
        if chart is not None:
            corner = (image.width - _MAP[0] - _MARGIN, image.height - _MAP[1] - _MARGIN)
            image.alpha_composite(chart.at(i), corner)
        yield np.asarray(image.convert("RGB"))


def _caption(title: str, facts: str) -> Image.Image:
    width = max(_font(19).getlength(title), _font(13).getlength(facts), 220) + 24
    card = Image.new("RGBA", (round(width), 60))
    draw = ImageDraw.Draw(card)
    draw.rounded_rectangle((0, 0, card.width - 1, card.height - 1), 8, fill=_CARD)
    draw.text((12, 8), title, _TEXT, _font(19))
    draw.text((12, 36), facts, _FAINT, _font(13))
    return card


class _Map:
    """The movement from above, in a corner of the image."""

    def __init__(self, position: NDArray[np.float64], reference: NDArray[np.float64] | None) -> None:
        paths = [path[:, :2] for path in (position, reference) if path is not None]
        low, high = np.concatenate(paths).min(axis=0), np.concatenate(paths).max(axis=0)
        room = np.array(_MAP) - 32
        self._scale = float(min(room / np.maximum(high - low, 0.3)))
        self._centre = (low + high) / 2
        self._flown, *others = (self._pixels(path) for path in paths)
        self._reference = others[0] if others else None

    def at(self, i: int) -> Image.Image:
        """The map at sample `i`."""
        twice = Image.new("RGBA", (2 * _MAP[0], 2 * _MAP[1]))  # drawn at twice the size: smooth lines
        draw = ImageDraw.Draw(twice)
        draw.rounded_rectangle((0, 0, twice.width - 1, twice.height - 1), 16, fill=_CARD)
        if self._reference is not None:
            _line(draw, self._reference, (*_MAP_REFERENCE, 160), 2)
            _dot(draw, self._reference[i], 8, (*_MAP_REFERENCE, 255))
        _line(draw, self._flown[: i + 1], (*_bytes(FLOWN), 255), 4)
        _dot(draw, self._flown[i], 8, (255, 255, 255, 255))
        draw.text((16, 10), "from above", _FAINT, _font(20))
        return twice.reduce(2)

    def _pixels(self, points: NDArray[np.float64]) -> list[tuple[float, float]]:
        offset = 2 * self._scale * (points[:, :2] - self._centre) * (1, -1) + np.array(_MAP)
        return [(float(x), float(y)) for x, y in offset]


def _line(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], color: tuple[int, ...], width: int) -> None:
    if len(points) > 1:
        draw.line(points, fill=color, width=width, joint="curve")


def _dot(draw: ImageDraw.ImageDraw, at: tuple[float, float], radius: float, color: tuple[int, ...]) -> None:
    draw.ellipse((at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius), fill=color)


def _bytes(color: tuple[float, float, float]) -> tuple[int, ...]:
    return tuple(round(255 * value) for value in color)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """matplotlib brings this font; the system may have none."""
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)
