"""What is raised when a calibration cannot be trusted."""

from __future__ import annotations


class CalibrationError(ValueError):
    """Images or poses do not determine what is asked for. The message names them and says what to do."""
