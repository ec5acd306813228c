"""The ChArUco board: a chessboard whose white squares hold markers, so that every corner has a number."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.files import replace_file
from isthmus_datasets.teleop.calibration.error import CalibrationError

INCH = 0.0254  # m
_OF_MARGIN = 0.8  # the white between a corner and the next marker's, as share of what is there
_KINDS = {"columns": int, "rows": int, "square_m": int | float, "marker_m": int | float, "dictionary": str}
_WORDS = {int: "a whole number", int | float: "a number of metres", str: "a name"}
_DICTIONARIES = tuple(name for name in dir(cv2.aruco) if name.startswith("DICT_") and name.isupper())


@dataclass(frozen=True, kw_only=True, eq=False)
class Corners:
    """Inner corners of the board that were found in an image.

    Args:
        ids: (n,) which ones, in increasing order.
        pixels: (n, 2) where, px.
        points: (n, 3) where on the board, m.
    """

    ids: NDArray[np.int32]
    pixels: NDArray[np.float64]
    points: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Board:
    """As it was printed. By default it fits on A4 and on Letter.

    Args:
        columns, rows: Squares.
        square_m: Edge of a square: measure it on the print, since everything is measured by it.
        marker_m: Edge of a marker.
        dictionary: OpenCV's name of the set of markers.

    Raises:
        ValueError: there is no such board.
    """

    columns: int = 7
    rows: int = 5
    square_m: float = 0.035
    marker_m: float = 0.026
    dictionary: str = "DICT_4X4_50"

    def __post_init__(self) -> None:
        if self.dictionary not in _DICTIONARIES:
            raise ValueError(f"no dictionary {self.dictionary!r}; there are {', '.join(_DICTIONARIES)}")
        if self.columns < 3 or self.rows < 3:
            raise ValueError(f"{self.columns} × {self.rows} squares have too few corners: 3 × 3 at least")
        if not 0.0 < self.marker_m < self.square_m:
            raise ValueError(f"markers of {self.marker_m} m do not fit into squares of {self.square_m} m")
        markers, there = self.columns * self.rows // 2, len(self._markers().bytesList)
        if markers > there:
            raise ValueError(f"{self.dictionary} has {there} markers, the board needs {markers}: take a larger one")

    def _markers(self) -> cv2.aruco.Dictionary:
        return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, self.dictionary))

    def _charuco(self) -> cv2.aruco.CharucoBoard:
        return cv2.aruco.CharucoBoard((self.columns, self.rows), self.square_m, self.marker_m, self._markers())

    @property
    def size_m(self) -> tuple[float, float]:
        """(width, height)."""
        return self.columns * self.square_m, self.rows * self.square_m

    def image(self, square_px: int) -> NDArray[np.uint8]:
        """(rows · square_px, columns · square_px) grey: the board without a margin."""
        size = (self.columns * square_px, self.rows * square_px)
        return np.asarray(self._charuco().generateImage(size, marginSize=0), np.uint8)

    def print_to(self, path: Path, *, dpi: int = 300, margin_m: float = 0.01) -> float:
        """Write it as .png or .pdf that knows its size, with a white margin. Returns the edge of a square as it will be
        on paper, m: a square is a whole number of dots.

        Raises:
            ValueError: another kind of file, or dots so coarse that a square would be off by more than 1 %.
        """
        from PIL import Image

        if path.suffix.lower() not in (".png", ".pdf"):
            raise ValueError(f"{path}: a board is printed from .png or .pdf")
        square_px = round(self.square_m / INCH * dpi)
        printed_m = square_px * INCH / dpi
        if abs(printed_m / self.square_m - 1.0) > 0.01:
            raise ValueError(f"at {dpi} dpi a square would be {1e3 * printed_m:.2f} mm: take more dots per inch")
        image = np.pad(self.image(square_px), round(margin_m / INCH * dpi), constant_values=255)
        Image.fromarray(image).save(path, dpi=(dpi, dpi), resolution=dpi)
        return printed_m

    def detect(self, image: NDArray[np.uint8]) -> Corners:
        """Those corners that are seen in an image (H, W, 3) RGB or (H, W); none where there is no board."""
        grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        charuco = self._charuco()
        pixels, ids, _, _ = cv2.aruco.CharucoDetector(charuco).detectBoard(np.ascontiguousarray(grey))
        if ids is None or len(ids) == 0:
            return Corners(ids=np.zeros(0, np.int32), pixels=np.zeros((0, 2)), points=np.zeros((0, 3)))
        ids = np.asarray(ids, np.int32).reshape(-1)
        points = np.asarray(charuco.getChessboardCorners(), np.float64)[ids]
        sharper = self._refine(np.asarray(grey, np.uint8), np.asarray(pixels, np.float32).reshape(-1, 2))
        return Corners(ids=ids, pixels=sharper.astype(np.float64), points=points)

    def _refine(self, grey: NDArray[np.uint8], pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """OpenCV looks for a corner's edges as far as the markers' own, which pull it away by up to half a pixel where
        the board is tilted; here the window ends before them."""
        distances = np.linalg.norm(pixels[:, None] - pixels[None], axis=-1)
        square_px = np.min(distances, where=distances > 0.0, initial=np.inf)
        half = int(_OF_MARGIN * (1.0 - self.marker_m / self.square_m) / 2.0 * min(square_px, *grey.shape))
        if half < 2:
            return pixels
        criteria = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 50, 1e-3)
        refined = cv2.cornerSubPix(grey, pixels.reshape(-1, 1, 2).copy(), (half, half), (-1, -1), criteria)
        return np.asarray(refined, np.float32).reshape(-1, 2)

    def save(self, path: Path) -> None:
        """As JSON, lengths in m."""
        replace_file(path, (json.dumps(asdict(self), indent=2) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> Board:
        """Read what `save` wrote. Raises CalibrationError naming the file, OSError."""
        try:
            document = json.loads(path.read_text())
            if not isinstance(document, dict) or set(document) != set(_KINDS):
                raise ValueError(f"it must have {', '.join(sorted(_KINDS))}, and nothing else")
            for name, kind in _KINDS.items():
                if not isinstance(document[name], kind):
                    raise ValueError(f"{name} must be {_WORDS[kind]}, not {document[name]!r}")
            return cls(**document)
        except ValueError as error:
            raise CalibrationError(f"{path} is no board: {error}") from error
