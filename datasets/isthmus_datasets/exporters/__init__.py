"""Datasets in other formats."""

from isthmus_datasets.exporters.zarr_v2 import export_replay_buffer

__all__ = ["export_replay_buffer"]
