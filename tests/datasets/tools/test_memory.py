"""No operation holds a whole episode's images: 100 s of 640 × 480 within 500 MB, each in a process of its own."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from written import written

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.images.frames import png
from isthmus_datasets.format.images.video import write_video

pytestmark = pytest.mark.long

STEPS, FPS, CAMERA = 3000, 30, "observation.images.scene"
LIMIT_MB = 500
SCRIPT = """
import sys
from pathlib import Path
from isthmus_datasets.tools.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
status = Path("/proc/self/status").read_text()  # ru_maxrss would be the parent's, where that is larger
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""


def images() -> Iterator[np.ndarray]:
    ground = np.linspace(40, 200, 480 * 640 * 3).reshape(480, 640, 3).astype(np.uint8)
    for step in range(STEPS):
        image = ground.copy()
        image[step % 400 : step % 400 + 40, 100:140] = 250
        yield image


def files() -> Iterator[bytes]:
    """PNG files of some 200 kB, 600 MB in all."""
    noise = np.random.default_rng(0).integers(0, 2, (480, 640, 3), np.uint8)
    content = [png((noise + image).astype(np.uint8)) for image in itertools.islice(images(), 10)]
    return itertools.islice(itertools.cycle(content), STEPS)


@pytest.fixture(scope="module", params=["video", "image"])
def source(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path_factory.mktemp("large")
    seen = files if request.param == "image" else write_video(folder / "a.mp4", images(), fps=FPS, crf=30, key_every=10)
    features = {
        "action": Feature(dtype="float32", shape=(2,)),
        CAMERA: Feature(dtype=request.param, shape=(480, 640, 3)),
    }
    columns = {"action": np.random.default_rng(0).normal(size=(STEPS, 2)).astype(np.float32)}
    made = Episode(columns=columns, videos={CAMERA: seen}, task="look")
    return written(folder / "set", features, [made], fps=FPS)


def peak_mb(*arguments: object) -> int:
    """The most memory of an `isthmus-dataset` with these arguments."""
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr + result.stdout
    return int(result.stdout.split()[-1])


@pytest.mark.parametrize(
    "operation",
    [("reencode",), ("pack",), ("select", "--keep", "0"), ("export-zarr",), ("merge",), ("statistics",), ("check",)],
    ids=lambda each: each[0],
)
def test_what_is_made_of_it(source: Path, tmp_path: Path, operation: tuple[str, ...]):
    name, *options = operation
    target = tmp_path / ("made.zarr" if name == "export-zarr" else "made")
    paths = {"merge": (target, source), "statistics": (source,), "check": (source,)}.get(name, (source, target))
    assert peak_mb(name, *paths, *options) < LIMIT_MB
    if name == "export-zarr":
        assert peak_mb("import", target, tmp_path / "back") < LIMIT_MB
    shutil.rmtree(tmp_path)  # 600 MB each
