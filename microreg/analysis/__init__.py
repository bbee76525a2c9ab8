"""What a trained network is worth: its path, its size, its report, its faults."""

from .compact import Compaction, compact
from .convention import convention
from .lint import lint

__all__ = ["Compaction", "compact", "convention", "lint"]
