"""What a trained network is worth: its path, its size, its report, its faults."""

from .convention import convention

__all__ = ["convention"]
