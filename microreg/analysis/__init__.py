"""What a trained network is worth: its path, its size, its report, its faults."""

from . import plots
from .certificate import Certificate, certificate, polish
from .compact import Compaction, compact
from .compare import RECIPES, Recipe, compare
from .comparison import Comparison
from .convention import convention
from .effective import effective_parameters
from .lint import lint
from .path import path
from .path_result import Path
from .report import Report, report
from .watch import Watch

__all__ = [
    "RECIPES",
    "Certificate",
    "Compaction",
    "Comparison",
    "Path",
    "Recipe",
    "Report",
    "Watch",
    "certificate",
    "compact",
    "compare",
    "convention",
    "effective_parameters",
    "lint",
    "path",
    "plots",
    "polish",
    "report",
]
