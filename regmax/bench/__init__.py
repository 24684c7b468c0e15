"""Every solver timed beside the libraries that are installed, each figure with the accuracy it was delivered at."""

from .cases import Case, cases, groups
from .page import markdown
from .table import Line, Measured, measure_group

__all__ = ["Case", "Line", "Measured", "cases", "groups", "markdown", "measure_group"]
