"""Recording: a robot, an operator and a dataset at a fixed rate, and no episode that is lost or spoilt."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import cast

from isthmus_datasets.format.episode import Episode, Scalar
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.writer import RECORDING, DatasetWriter, Unconfirmed
from isthmus_datasets.recording.columns import camera_name, checked, differences, followed, observed
from isthmus_datasets.recording.encoding.footage import Footage
from isthmus_datasets.recording.encoding.video_process import VideoError
from isthmus_datasets.recording.ending import Ending, ending
from isthmus_datasets.recording.episode_buffer import EpisodeBuffer
from isthmus_datasets.recording.operator import Controller, Decision, DeviceError, Event, Operator
from isthmus_datasets.recording.rate import Clock, Rate, Timing, WallClock
from isthmus_datasets.recording.robot import CameraError, Observation, Robot, RobotError, SimulatedRobot

_LEFT = (Event.DISCARD, Event.QUIT)
_KEPT = (Event.SUCCESS, Event.STOP, Event.TIME)


class RecordingError(RuntimeError):
    """The episode in progress is lost. The message names it and says why; what was saved before is untouched, and
    another episode can be recorded once the cause is gone."""


class UnsavedError(RecordingError):
    """A finished episode could not be written, as on a full disk. It is kept, and saved before the next one begins."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an episode.

    Args:
        index: Its number in the dataset; None when it was not saved.
        steps: How many rows it had.
        event: What the operator wanted with it; NONE where something else ended it.
        ending: How it ended; None when it was not saved.
        reason: Why it was not saved, or that the disk did not confirm it; empty when all is well.
    """

    index: int | None
    steps: int
    event: Event
    ending: Ending | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What was recorded, and how well the rate was kept.

    Args:
        saved, discarded: Episodes.
        steps: Rows of the saved ones.
        dropped_frames: Rows that the grid of the saved ones should have, but no step was there in time.
        overruns: Steps that took longer than the period.
        jitter_p50_ms, jitter_p99_ms, jitter_max_ms: How far the time from step to step was from the period.
        reasons: Why episodes were discarded or are in doubt, in order.
    """

    saved: int
    discarded: int
    steps: int
    dropped_frames: int
    overruns: int
    jitter_p50_ms: float
    jitter_p99_ms: float
    jitter_max_ms: float
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        text = (
            f"{self.saved} episodes saved ({self.steps} steps), {self.discarded} discarded; "
            f"{self.dropped_frames} frames dropped, {self.overruns} steps too long; jitter "
            f"p50 {self.jitter_p50_ms:.2f} ms, p99 {self.jitter_p99_ms:.2f} ms, at most {self.jitter_max_ms:.2f} ms"
        )
        return "\n  ".join((text, *self.reasons))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Finished:
    """An episode that is to be saved."""

    episode: Episode
    timing: Timing
    event: Event
    ending: Ending


class Recorder:
    """Records one episode after another; a context manager.

    Every step the robot is observed, the operator decides, and the robot acts. What a step led to (next.*) is read off
    the observation after it, so that an episode ends upon an observation, and the action that comes with it is not
    sent. A world that ends ends the episode; before the start, it begins anew. Steps are `writer.info.fps` a second by
    the clock; between episodes, while one is saved, there are none.

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
        found = differences(writer.info, features, fps=fps)
        if found:
            raise DatasetError(f"{writer.root} is not of this robot: {'; '.join(found)}: record into another folder")
        if features.simulator_state and not hasattr(robot, "simulator_state"):
            raise TypeError(f"{features.robot_type} declares a simulator's state, but has no method simulator_state")
        if max_steps is not None and max_steps < 1:
            raise ValueError(f"max_steps must be positive, not {max_steps}")
        self.task = task
        self.outcomes: list[Outcome] = []
        """What became of all episodes so far."""
        self._robot, self._operator, self._writer, self._features = robot, operator, writer, features
        self._max_steps = max_steps
        self._pace, self._total = Rate(fps, clock or WallClock()), Timing(fps)
        shapes = {name: (height, width, 3) for name, (height, width) in features.cameras.items()}
        lossless = [name for name in shapes if writer.info.features[camera_name(name)].is_lossless]
        self.footage = Footage(writer.root / RECORDING, shapes, fps=fps, lossless=lossless)
        self._unsaved: _Finished | None = None

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

        Raises:
            UnsavedError: this episode, or that one, is finished and could not be written; it is kept.
            RecordingError: it was ended before it was started; the robot cannot go on; a camera or what the operator
                holds disappeared; an observation or action is not what was declared, or not finite; a video cannot be
                written or its process died.
        """
        self.save_again()
        take, timing = EpisodeBuffer(self._features, self.footage), Timing(self._writer.info.fps)
        try:
            event, end = self._run(take, timing, seed)
            outcome = self._close(take, timing, event, end, seed)
        except (CameraError, DatasetError, DeviceError, RobotError, VideoError, OSError) as error:
            reason = f"episode {self._writer.num_episodes} was discarded after {take.length} steps: {error}"
            self.outcomes.append(Outcome(index=None, steps=take.length, event=Event.NONE, reason=reason))
            raise RecordingError(f"{self._writer.root}: {reason}") from error
        finally:
            if self._unsaved is None:
                self.footage.clear()
        if outcome.steps:
            self.outcomes.append(outcome)
        return outcome

    def _run(self, take: EpisodeBuffer, timing: Timing, seed: int) -> tuple[Event, Ending | None]:
        """Returns the operator's last event, and how the episode has ended; None where it is not to be kept."""
        self.footage.begin()
        self._reset(seed)
        self._pace.start()
        self._pace.wait()
        observation, decision = self._look()
        while decision.event is not Event.START:
            if decision.event in _LEFT:
                return decision.event, None
            if decision.event in _KEPT:
                raise DatasetError(f"it has zero steps: {decision.event.value!r} came before 'start'")
            if observation.ended:
                self._reset(seed)
            else:
                self._robot.act(checked("action", self._features.action, decision.action))
            self._pace.wait()
            observation, decision = self._look()
        while True:
            self._step(take, observation, decision)
            timing.add(self._pace.wait())
            observation, decision = self._look()
            if decision.event in _LEFT:
                return decision.event, None
            end = ending(observation, decision.event, out_of_time=take.length == self._max_steps)
            take.add(followed(self._features, observation, end))
            if end is not None:
                take.finish(observation)
                return decision.event, end

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
        taken_over = decision.policy is not None and decision.control is Controller.HUMAN
        take.add({"action": action, "control": [int(decision.control)]})
        take.add({"policy_action": planned, "intervention": [taken_over]})
        if self._features.simulator_state:
            take.add({"simulator_state": cast(SimulatedRobot, self._robot).simulator_state()})
        take.add({"sent_action": self._robot.act(action)})
        take.add_images(observation.images)

    def _close(self, take: EpisodeBuffer, timing: Timing, event: Event, end: Ending | None, seed: int) -> Outcome:
        """Save the episode, unless the operator does not want it."""
        if end is None:
            reason = f"episode {self._writer.num_episodes} was discarded after {take.length} steps by the operator"
            return Outcome(index=None, steps=take.length, event=event, reason=reason)
        knows, success = self._features.success or end is Ending.SUCCESS, take.last("next.success")
        facts: dict[str, Scalar] = {
            "operator": self._operator.name,
            "seed": seed,
            "success": bool(success[0]) if knows else None,
            "ending": end.value,
            "overruns": timing.overruns,
            "dropped_frames": timing.skipped,
            "jitter_p99_ms": timing.jitter_ms(99),
        }
        return self._save(_Finished(episode=take.episode(self.task, facts), timing=timing, event=event, ending=end))

    def _save(self, finished: _Finished) -> Outcome:
        reason, steps, self._unsaved = "", finished.episode.length, None
        try:
            index = self._writer.append(finished.episode)
        except Unconfirmed as error:
            index, reason = error.index, str(error.strerror)
        except OSError as error:
            self._unsaved = finished
            raise UnsavedError(
                f"{self._writer.root}: episode {self._writer.num_episodes} of {steps} steps is not saved yet: {error}: "
                "it is kept, and saved before the next one begins, once the cause is gone"
            ) from error
        self._total.include(finished.timing)
        return Outcome(index=index, steps=steps, event=finished.event, ending=finished.ending, reason=reason)

    def save_again(self) -> None:
        """Save the finished episode that could not be written, if there is one. Raises UnsavedError when it still
        cannot."""
        if self._unsaved is not None:
            self.outcomes.append(self._save(self._unsaved))
            self.footage.clear()

    @property
    def _saved(self) -> int:
        return sum(outcome.index is not None for outcome in self.outcomes)

    def summary(self) -> Summary:
        """How recording went, over all episodes so far."""
        return Summary(
            saved=self._saved,
            discarded=len(self.outcomes) - self._saved,
            steps=sum(outcome.steps for outcome in self.outcomes if outcome.index is not None),
            dropped_frames=self._total.skipped,
            overruns=self._total.overruns,
            jitter_p50_ms=self._total.jitter_ms(50),
            jitter_p99_ms=self._total.jitter_ms(99),
            jitter_max_ms=self._total.jitter_ms(100),
            reasons=tuple(outcome.reason for outcome in self.outcomes if outcome.reason),
        )

    def close(self) -> None:
        """Save what could not be saved before, and end the encoding processes; an episode in progress is forgotten.
        Raises UnsavedError when an episode is lost with it."""
        try:
            self.save_again()
        finally:
            self.footage.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
