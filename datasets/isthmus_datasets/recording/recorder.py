"""Recording: a robot, an operator and a dataset at a fixed rate, and no episode that is lost or spoilt."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import cast

from isthmus_datasets.format.episode import Scalar
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.writer import RECORDING, DatasetWriter
from isthmus_datasets.recording.encoding.episode_videos import EpisodeVideos
from isthmus_datasets.recording.encoding.video_process import VideoError
from isthmus_datasets.recording.ending import Ending, ending
from isthmus_datasets.recording.episode_buffer import EpisodeBuffer
from isthmus_datasets.recording.operator import Controller, Decision, DeviceError, Event, Operator
from isthmus_datasets.recording.outcome import Outcome, RecordingError, Summary
from isthmus_datasets.recording.rate import Clock, Rate, Timing, WallClock
from isthmus_datasets.recording.robot import (
    CameraError,
    HeldRobot,
    Observation,
    Robot,
    RobotError,
    RobotLost,
    SimulatedRobot,
)
from isthmus_datasets.recording.robot_columns import camera_name, check_dataset, checked, followed, observed
from isthmus_datasets.recording.saving import Finished, Saver

_LEFT = (Event.DISCARD, Event.QUIT)
_KEPT = (Event.SUCCESS, Event.STOP, Event.TIME)


@dataclass(frozen=True, kw_only=True)
class _End:
    """What the operator wanted last, how the episode has ended (None: it is not to be kept), and what was lost."""

    event: Event
    ending: Ending | None = None
    lost: CameraError | RobotLost | None = None


class Recorder:
    """Records one episode after another; a context manager.

    Every step the robot is observed, the operator decides, and the robot acts. What a step led to (next.*) is read off
    the observation after it, so that an episode ends upon an observation, and the action that comes with it is not
    sent. A world that ends ends the episode; before the start, it begins anew. Steps are `writer.info.fps` a second by
    the clock; between episodes there are none. An episode is saved by a thread of its own, which decodes its videos and
    waits for the disk, while this one holds the robot in stand-by (`HeldRobot`).

    Args:
        robot: Stays the caller's to close, as do the next two.
        operator: Decides, and says when to start and to end.
        writer: The dataset, as `open_dataset` gives it.
        task: What is asked, in words.
        max_steps: After so many an episode's time is over; None for no limit.
        clock: `VirtualClock` for a simulated robot that shall be as fast as it can.

    Raises:
        DatasetError: the dataset is not of this robot.
        TypeError: the robot declares a simulator's state and has no `simulator_state`.
    """

    def __init__(
        self,
        robot: Robot,
        operator: Operator,
        writer: DatasetWriter,
        *,
        task: str,
        max_steps: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        fps, features = writer.info.fps, robot.features
        check_dataset(writer, features, fps=fps)
        if features.simulator_state and not hasattr(robot, "simulator_state"):
            raise TypeError(f"{features.robot_type} declares a simulator's state, but has no method simulator_state")
        if max_steps is not None and max_steps < 1:
            raise ValueError(f"max_steps must be positive, not {max_steps}")
        self.task = task
        self.outcomes: list[Outcome] = []
        """What became of all episodes so far."""
        self._robot, self._operator, self._writer, self._features = robot, operator, writer, features
        self._max_steps = max_steps
        self._pace = Rate(fps, clock or WallClock())
        shapes = {name: (height, width, 3) for name, (height, width) in features.cameras.items()}
        lossless = [name for name in shapes if writer.info.features[camera_name(name)].is_lossless]
        self.videos = EpisodeVideos(writer.root / RECORDING, shapes, fps=fps, lossless=lossless)
        self._saver = Saver(writer, self.videos)

    def run(self, episodes: int, *, seed: int = 0) -> Summary:
        """Record until so many are saved, or the operator quits. They begin with `seed`, `seed` + 1, … Raises as
        `record`."""
        first = self._saved
        while self._saved - first < episodes:
            if self.record(seed).event is Event.QUIT:
                break
            seed += 1
        return self.summary()

    def record(self, seed: int) -> Outcome:
        """Reset the robot, let the operator drive it, and record from START to the episode's end. An episode that could
        not be saved before is saved first.

        When a camera or the robot is lost, the steps whose outcome was seen are kept: nothing is wrong with them. A
        person whose device is lost has not shown what they wanted to, and nobody knows since when values were wrong
        that are not as declared: such an episode is discarded.

        Raises:
            UnsavedError: this episode, or that one, is finished and could not be written; it waits for room.
            RecordingError: a camera or the robot was lost (the message says whether steps were kept). Or the episode is
                discarded: it was ended before it was started; the robot cannot go on; what the operator holds
                disappeared; an observation or action is not what was declared, or not finite; a video cannot be
                written or its process died; the disk is full.
        """
        self.save_again()
        take, timing = EpisodeBuffer(self._features, self.videos), Timing(self._writer.info.fps)
        try:
            end = self._run(take, timing, seed)
            outcome = self._close(take, timing, end, seed)
        except (CameraError, DatasetError, DeviceError, RobotError, VideoError, OSError) as error:
            reason = f"episode {self._writer.num_episodes} was discarded after {take.length} steps: {error}"
            self.outcomes.append(Outcome(index=None, steps=take.length, event=Event.NONE, reason=reason))
            raise RecordingError(f"{self._writer.root}: {reason}") from error
        finally:
            if self._saver.unsaved is None:
                self.videos.clear()
        if outcome.steps:
            self.outcomes.append(outcome)
        if end.lost:
            raise RecordingError(f"{self._writer.root}: {outcome.reason}") from end.lost
        return outcome

    def _run(self, take: EpisodeBuffer, timing: Timing, seed: int) -> _End:
        self._saver.begin()
        self.videos.begin()
        observation, decision = self._await_start(seed)
        while decision.event not in _LEFT:
            try:
                self._step(take, observation, decision)
                timing.add(self._pace.wait())
                observation, decision = self._look()
            except (CameraError, RobotLost) as error:
                take.cut(observation)
                if not take.length:
                    raise
                return _End(event=Event.NONE, ending=Ending.SENSORS, lost=error)
            if decision.event in _LEFT:
                break
            end = ending(observation, decision.event, out_of_time=take.length == self._max_steps)
            take.add(followed(self._features, observation, end))
            if end is not None:
                take.finish(observation)
                return _End(event=decision.event, ending=end)
        return _End(event=decision.event)

    def _await_start(self, seed: int) -> tuple[Observation, Decision]:
        """Until the operator wants to begin, or leaves."""
        self._reset(seed)
        self._pace.start()
        self._pace.wait()
        observation, decision = self._look()
        while decision.event not in (Event.START, *_LEFT):
            if decision.event in _KEPT:
                raise DatasetError(f"it has zero steps: {decision.event.value!r} came before 'start'")
            if observation.ended:
                self._reset(seed)
            else:
                self._robot.act(checked("action", self._features.action, decision.action))
            self._pace.wait()
            observation, decision = self._look()
        return observation, decision

    def _reset(self, seed: int) -> None:
        self._robot.reset(seed)
        self._operator.reset(seed)

    def _look(self) -> tuple[Observation, Decision]:
        observation = self._robot.observe()
        return observation, self._operator.decide(observation)

    def _step(self, take: EpisodeBuffer, observation: Observation, decision: Decision) -> None:
        """Act, and keep it all; images last, because that may have to wait."""
        action = checked("action", self._features.action, decision.action)
        take.add(observed(self._features, observation))
        planned = action if decision.policy is None else decision.policy
        asked, human = decision.policy is not None, decision.control is Controller.HUMAN
        take.add({"action": action, "control": [int(decision.control)]})
        take.add({"policy_action": planned, "policy_known": [asked or not human], "intervention": [asked and human]})
        if self._features.simulator_state:
            take.add({"simulator_state": cast(SimulatedRobot, self._robot).simulator_state()})
        take.add({"sent_action": self._robot.act(action)})
        take.add_images(observation.images)

    def _close(self, take: EpisodeBuffer, timing: Timing, end: _End, seed: int) -> Outcome:
        """Save the episode, unless the operator does not want it."""
        if end.ending is None:
            reason = f"episode {self._writer.num_episodes} was discarded after {take.length} steps by the operator"
            return Outcome(index=None, steps=take.length, event=end.event, reason=reason)
        told = self._features.success and end.ending is not Ending.SENSORS
        facts: dict[str, Scalar] = {
            "operator": self._operator.name,
            "seed": seed,
            "success": bool(take.last("next.success")[0]) if told or end.ending is Ending.SUCCESS else None,
            "ending": end.ending.value,
            "overruns": timing.overruns,
            "dropped_frames": timing.skipped,
            "jitter_p99_ms": timing.jitter_ms(99),
        }
        event, ending, lost = end.event, end.ending, str(end.lost or "")

        def save() -> Outcome:
            episode = take.episode(self.task, facts)
            return self._saver.save(Finished(episode=episode, timing=timing, event=event, ending=ending, lost=lost))

        return self._beside(save)

    def _beside(self, save: Callable[[], Outcome]) -> Outcome:
        """What `save` gives, while the robot is held. Raises what `save` raises."""
        held = self._robot if isinstance(self._robot, HeldRobot) else None
        with ThreadPoolExecutor(1) as pool:
            saving = pool.submit(save)
            while not saving.done():
                if held:
                    held.hold()
                wait([saving], timeout=1.0 / self._pace.rate_hz)
            return saving.result()

    def save_again(self) -> None:
        """Save the finished episode that could not be written, if there is one. Raises UnsavedError when it still
        cannot."""
        unsaved = self._saver.unsaved
        if unsaved is not None:
            self.outcomes.append(self._beside(lambda: self._saver.save(unsaved)))
            self.videos.clear()

    @property
    def _saved(self) -> int:
        return sum(outcome.index is not None for outcome in self.outcomes)

    def summary(self) -> Summary:
        """How recording went, over all episodes so far."""
        return Summary.of(self.outcomes, self._saver.timing)

    def close(self) -> None:
        """Save what could not be saved before, and end the encoding processes; an episode in progress is forgotten.
        Raises UnsavedError when an episode still is not saved; the message says where it waits, or that it is lost."""
        try:
            self.save_again()
        finally:
            self.videos.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
