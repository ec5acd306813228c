"""`python -m isthmus_datasets.training.decoder`: writes videos' frames into a file, a job a line while lines come.

Threads of one interpreter decode small images no faster than one thread does; processes do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from isthmus_datasets.format.images.frames import stream_frames
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.training.frame_file import write_frames


@dataclass(frozen=True, kw_only=True)
class Job:
    """One episode's frames out of a video.

    Args:
        episode: Its name for messages.
        video: Path of the file.
        first, count: Which frames.
        fps: Frames a second.
        shape: (H, W, 3) that they have.
        size: (H, W) that they are scaled to.
        place: Number of the first one in the file of frames.
    """

    episode: str
    video: str
    first: int
    count: int
    fps: int
    shape: tuple[int, ...]
    size: tuple[int, int]
    place: int


class Decoder:
    """A process that does one job after another.

    Args:
        file: The file of frames, open for writing.
        lock: The open file whose lock lets nobody else write there: the process holds it too, so that a job which
            outlives this process is alone.
    """

    def __init__(self, file: int, lock: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[file, lock],
            start_new_session=True,  # Ctrl-C is for whoever waits for the frames, and then ends this one
        )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def run(self, job: Job) -> None:
        """Wait until the job is done.

        Raises:
            DatasetError: the video is missing, damaged, lacks frames or has them in another shape; or the process died.
            OSError: the file cannot be written.
        """
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # there is no answer then, either
        answer = self._process.stdout.readline()
        if not answer:
            ended = self._process.wait()
            raise DatasetError(f"{job.episode}: the process that decodes {job.video} ended with {ended}: try again")
        said = json.loads(answer)
        if "errno" in said:
            raise OSError(said["errno"], said["error"])
        if "error" in said:
            raise DatasetError(said["error"])

    def close(self) -> None:
        """End it: at once, or after the job it is at."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Decoders:
    """Several, for threads that wait for them. A context manager. Other arguments are `Decoder`'s."""

    def __init__(self, count: int, file: int, lock: int) -> None:
        self._all = [Decoder(file, lock) for _ in range(count)]
        self._free: SimpleQueue[Decoder] = SimpleQueue()
        for decoder in self._all:
            self._free.put(decoder)

    def run(self, job: Job) -> None:
        """As `Decoder.run`, by the next one that is free."""
        decoder = self._free.get()
        try:
            decoder.run(job)
        finally:
            self._free.put(decoder)

    def __enter__(self) -> Decoders:
        return self

    def __exit__(self, *_: object) -> None:
        for decoder in self._all:
            decoder.close()


def _done(job: Job, file: int) -> dict[str, Any]:
    """The answer."""
    images = stream_frames(Path(job.video), job.first, job.count, fps=job.fps, shape=job.shape, size=job.size)
    try:
        write_frames(images, job.size, file, job.place)
    except DatasetError as error:
        return {"error": f"{job.episode}: {error}"}
    except OSError as error:
        return {"error": error.strerror, "errno": error.errno}
    return {}


def main() -> None:
    """Entry point."""
    file = int(sys.argv[1])
    for line in sys.stdin:
        plain = json.loads(line)
        job = Job(**plain | {"shape": tuple(plain["shape"]), "size": tuple(plain["size"])})
        try:
            os.write(sys.stdout.fileno(), json.dumps(_done(job, file)).encode() + b"\n")
        except BrokenPipeError:
            return  # nobody waits any more


if __name__ == "__main__":
    main()
