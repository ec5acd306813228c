"""Videos of a policy at work: rendered episodes and flights, with captions and a map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from isthmus_datasets.video import VideoWriter
from isthmus_policies.evaluate import Actor
from isthmus_sim.engine import State
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.render import FLOWN, Motion, MotionRenderer, Scene, scene_of
from isthmus_sim.task import Task

FPS = 30
EPISODES = 3
_MARGIN, _MAP = 14, (176, 132)
_CARD, _TEXT, _FAINT = (18, 24, 33, 176), (255, 255, 255, 255), (205, 214, 226, 255)
_MAP_REFERENCE = (122, 173, 255)

Frame = NDArray[np.uint8]
Progress = Callable[[int, int], None]
"""Called with frames done and frames in all."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A movement and what to write over it: `caption` of a time in s since the movement's start."""

    motion: Motion
    caption: Callable[[float], str]


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
    scene = scene_of(task.robot.name)
    env = Env(task, make_engine(task, 1), seed)
    actor = make_actor(env)
    episodes = [_record_episode(env, actor, scene) for _ in range(EPISODES)]
    clips = [
        Clip(motion=motion, caption=lambda _, text=f"episode {i + 1} of {EPISODES}{note}": text)
        for i, (motion, note) in enumerate(episodes)
    ]
    return film(scene, clips, path)


def flight_video(
    robot: str, flight: dict[str, NDArray[np.float64]], phases: Sequence[tuple[str, float, float]], path: Path, *,
    on_frame: Progress | None = None,
) -> Path:  # fmt: skip
    """A video of a recorded flight of a free body; returns `path`.

    Args:
        robot: Its name in the contract.
        flight: time (t,) s, position (t, 3) m, orientation (t, 4) wxyz and reference_position (t, 3) m, as recorded in
            flight.npz.
        phases: Name, start and end in s.

    Raises:
        NoRendererError: this machine cannot draw without a display.
        ValueError: there is no scene for the robot.
    """
    position = flight["position"]
    motion = Motion(
        time=flight["time"],
        qpos=np.concatenate((position, flight["orientation"]), axis=1),
        position=position,
        reference=flight["reference_position"],
    )

    def phase(time: float) -> str:
        return next((name for name, _, end in phases if time < end), phases[-1][0])

    return film(scene_of(robot), [Clip(motion=motion, caption=phase)], path, on_frame=on_frame)


def _record_episode(env: Env, actor: Actor, scene: Scene) -> tuple[Motion, str]:
    """One episode of a single world that has just been reset, and a remark where it failed."""
    samples = [_sample(env, scene)]
    while True:
        step = actor.step(env)
        actor.restart(step.ended)
        if len(step.ended):
            break
        samples.append(_sample(env, scene))
    qpos, position, reference = (np.concatenate(rows) for rows in zip(*samples, strict=True))
    time = np.arange(len(samples), dtype=np.float64) * env.task.robot.control_period_s
    motion = Motion(time=time, qpos=qpos, position=position, reference=reference)
    return motion, "  ·  fails" if bool(step.terminated[0]) else ""


def _sample(env: Env, scene: Scene) -> tuple[NDArray[np.float64], ...]:
    state: State = env.engine.read()
    goal = env.goal.get("reference_position", torch.zeros_like(state.position))
    return scene.qpos(state), state.position.double().numpy().copy(), goal.double().numpy().copy()


# --- what is written over the pictures ---


def _captioned(renderer: MotionRenderer, clip: Clip) -> Iterator[Frame]:
    moments = clip.motion.at_rate(FPS)
    error = np.linalg.norm(moments.position - moments.reference, axis=1)
    chart = _Map(moments)
    for i, frame in enumerate(renderer.frames(clip.motion, fps=FPS)):
        time = moments.time[i] - moments.time[0]
        facts = f"{time:4.1f} s     {100 * error[i]:.0f} cm from the reference"
        picture = Image.fromarray(frame).convert("RGBA")
        picture.alpha_composite(_caption(clip.caption(time), facts), (_MARGIN, _MARGIN))
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
        both = np.concatenate((moments.position, moments.reference))[:, :2]
        low, high = both.min(axis=0), both.max(axis=0)
        room = np.array(_MAP) - 32
        self._scale = float(min(room / np.maximum(high - low, 0.3)))
        self._centre = (low + high) / 2
        self._flown, self._reference = self._pixels(moments.position), self._pixels(moments.reference)

    def at(self, i: int) -> Image.Image:
        """The map at sample `i`."""
        twice = Image.new("RGBA", (2 * _MAP[0], 2 * _MAP[1]))  # drawn at twice the size: smooth lines
        draw = ImageDraw.Draw(twice)
        draw.rounded_rectangle((0, 0, twice.width - 1, twice.height - 1), 16, fill=_CARD)
        _line(draw, self._reference, (*_MAP_REFERENCE, 160), 2)
        _line(draw, self._flown[: i + 1], (*_bytes(FLOWN), 255), 4)
        _dot(draw, self._reference[i], 8, (*_MAP_REFERENCE, 255))
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
