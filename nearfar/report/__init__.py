"""A run folder in, one HTML page out."""

from nearfar.report.comparison import write_comparison
from nearfar.report.page import write_report

__all__ = ["write_comparison", "write_report"]
