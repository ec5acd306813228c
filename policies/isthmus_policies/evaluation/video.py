"""Videos of a policy at work: rendered episodes and missions, with captions and a map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from isthmus_sim.render import FLOWN, Motion, MotionRenderer, Scene, scene_of
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from isthmus_datasets.video import VideoWriter
from isthmus_policies.evaluation.evaluate import Actor
from isthmus_sim.engine import State
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.rotations import rotation_matrix, to_body
from isthmus_sim.task import Task

FPS = 30
EPISODES = 3
_MARGIN, _MAP = 14, (176, 132)
_CARD, _TEXT, _FAINT = (18, 24, 33, 176), (255, 255, 255, 255), (205, 214, 226, 255)
_MAP_REFERENCE = (122, 173, 255)

Frame = NDArray[np.uint8]
Progress = Callable[[int, int], None]
"""Called with frames done and frames in all."""

Text = Callable[[float], str]
"""Of a time in s."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A movement and what to write over it: a title and a note, each of a time in s since the movement's start."""

    motion: Motion
    title: Text
    note: Text


def film(scene: Scene, clips: list[Clip], path: Path, *, on_frame: Progress | None = None) -> Path:
    """Render `clips` one after another into one video; returns `path`. Raises NoRendererError, OSError."""
    total, done = sum(len(clip.motion.at_rate(FPS).time) for clip in clips), 0
    with MotionRenderer(scene) as renderer, VideoWriter(path, fps=FPS) as video:
        for clip in clips:
            for frame in _captioned(renderer, clip):
                video.write(frame)
                done += 1
                if on_frame:
                    on_frame(done, total)
    return path


def episode_video(task: Task, make_actor: Callable[[Env], Actor], seed: int, path: Path) -> Path:
    """A video of the first `EPISODES` episodes that start from `seed`; returns `path`.

    Raises:
        NoRendererError: this machine cannot draw without a display.
        ValueError: there is no scene for the task's robot.
    """
    scene = scene_of(task.robot.name, task.terrain)
    env = Env(task, make_engine(task, 1), seed)
    actor = make_actor(env)
    clips = [_record_episode(env, actor, scene, f"episode {i + 1} of {EPISODES}") for i in range(EPISODES)]
    return film(scene, clips, path)


def mission_video(
    robot: str, arrays: Mapping[str, NDArray], phases: Sequence[tuple[str, float, float]], note: Text, path: Path, *,
    on_frame: Progress | None = None,
) -> Path:  # fmt: skip
    """A video of a recorded mission; returns `path`.

    Args:
        robot: Its name in the contract.
        arrays: time (t,) s, position (t, 3) m, orientation (t, 4) wxyz and reference_position (t, 3) m, as recorded;
            for a robot with joints joint_name (j,), joint_time (s,) and joint_position (s, j) rad.
        phases: Name, start and end in s.
        note: What to write below the phase's name, of a time in s since the record's start.

    Raises:
        NoRendererError: this machine cannot draw without a display.
        ValueError: there is no scene for the robot.
    """
    scene = scene_of(robot)
    motion = Motion(
        time=arrays["time"],
        qpos=np.concatenate((arrays["position"], arrays["orientation"], _joints(scene, arrays)), axis=1),
        position=arrays["position"],
        reference=arrays["reference_position"],
    )

    def phase(time: float) -> str:
        return next((name for name, _, end in phases if time + arrays["time"][0] < end), phases[-1][0])

    return film(scene, [Clip(motion=motion, title=phase, note=note)], path, on_frame=on_frame)


def _joints(scene: Scene, arrays: Mapping[str, NDArray]) -> NDArray[np.float64]:
    """The joints of the scene's robot (t, j) at the times of the true state."""
    time = arrays["time"]
    places = [list(arrays["joint_name"]).index(name) for name in scene.joints]
    columns = [np.interp(time, arrays["joint_time"], arrays["joint_position"][:, i]) for i in places]
    return np.array(columns).T.reshape(len(time), len(places))


def _record_episode(env: Env, actor: Actor, scene: Scene, title: str) -> Clip:
    """One episode of a single world that has just been reset, with a remark where it failed."""
    samples, notes = [_sample(env, scene)], [_note(env)]
    while True:
        step = actor.step(env)
        actor.restart(step.ended)
        if len(step.ended):
            break
        samples.append(_sample(env, scene))
        notes.append(_note(env))
    qpos, position, *reference = (np.concatenate(rows) for rows in zip(*samples, strict=True))
    period_s = env.task.robot.control_period_s
    time = np.arange(len(samples), dtype=np.float64) * period_s
    motion = Motion(time=time, qpos=qpos, position=position, reference=reference[0] if reference else None)
    title += "  ·  fails" if bool(step.terminated[0]) else ""
    return Clip(
        motion=motion, title=lambda _: title, note=lambda time: notes[min(int(time / period_s), len(notes) - 1)]
    )


def _sample(env: Env, scene: Scene) -> tuple[NDArray[np.float64], ...]:
    """(1, k) each: the joints, the position and, where the task has one, the reference."""
    state: State = env.engine.read()
    places = [state.position, *(env.goal[name] for name in ("reference_position",) if name in env.goal)]
    return scene.qpos(state), *(place.double().cpu().numpy().copy() for place in places)


def _note(env: Env) -> str:
    """What the robot is asked for, and what it does."""
    state, goal = env.engine.read(), env.goal
    if "reference_position" in goal:
        return off_reference((state.position - goal["reference_position"])[0].double().cpu().numpy())
    velocity = to_body(rotation_matrix(state.orientation), state.linear_velocity)[0]
    true = (*velocity[:2].tolist(), float(state.angular_velocity[0, 2]))
    return velocities((*goal["linear_velocity_command"][0].tolist(), float(goal["yaw_rate_command"][0])), true)


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


# --- what is written over the pictures ---


def _captioned(renderer: MotionRenderer, clip: Clip) -> Iterator[Frame]:
    moments = clip.motion.at_rate(FPS)
    chart = _Map(moments)
    for i, frame in enumerate(renderer.frames(clip.motion, fps=FPS)):
        time = moments.time[i] - moments.time[0]
        picture = Image.fromarray(frame).convert("RGBA")
        picture.alpha_composite(_caption(clip.title(time), f"{time:4.1f} s     {clip.note(time)}"), (_MARGIN, _MARGIN))
        corner = (picture.width - _MAP[0] - _MARGIN, picture.height - _MAP[1] - _MARGIN)
        picture.alpha_composite(chart.at(i), corner)
        yield np.asarray(picture.convert("RGB"))


def _caption(title: str, facts: str) -> Image.Image:
    width = max(_font(19).getlength(title), _font(13).getlength(facts), 220) + 24
    card = Image.new("RGBA", (round(width), 60))
    draw = ImageDraw.Draw(card)
    draw.rounded_rectangle((0, 0, card.width - 1, card.height - 1), 8, fill=_CARD)
    draw.text((12, 8), title, _TEXT, _font(19))
    draw.text((12, 36), facts, _FAINT, _font(13))
    return card


class _Map:
    """The movement from above, in a corner of the picture."""

    def __init__(self, moments: Motion) -> None:
        paths = [path[:, :2] for path in (moments.position, moments.reference) if path is not None]
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
