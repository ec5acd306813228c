"""Training curves: a CSV file and TensorBoard, one row an iteration."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from isthmus_policies.files import write_atomically


class Log:
    """Rows of one fixed set of columns. Going on from iteration k drops the rows from k on: they will be made again."""

    def __init__(self, folder: Path, columns: tuple[str, ...], start_iteration: int) -> None:
        self.columns = columns
        self.path = folder / "metrics.csv"
        kept = [row for row in read_metrics(folder) if row["iteration"] < start_iteration] if start_iteration else []
        whole = io.StringIO(newline="")
        csv.writer(whole).writerows([columns, *([_cell(row.get(name)) for name in columns] for row in kept)])
        write_atomically(self.path, whole.getvalue().encode())
        self._file = self.path.open("a", newline="")
        self._writer = csv.writer(self._file)
        # TensorBoard counts environment steps, and forgets what an earlier process wrote beyond the kept rows.
        purge = int(kept[-1]["steps"]) + 1 if kept else 0
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)

    def write(self, row: dict[str, float]) -> None:
        """One iteration. Columns without a value stay empty; TensorBoard's step is the number of environment steps."""
        self._writer.writerow([_cell(row.get(name)) for name in self.columns])
        self._file.flush()
        for name, value in row.items():
            self._board.add_scalar(name, value, int(row["steps"]))

    def close(self) -> None:
        self._file.close()
        self._board.close()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The rows of a run's metrics.csv; empty cells are left out."""
    path = folder / "metrics.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
