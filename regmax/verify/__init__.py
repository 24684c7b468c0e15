"""Solvers judged, ours or a stranger's: certificates, CVXPY, difference quotients, and inputs that break things."""

from .check import check, verify
from .instances import families
from .report import Case, Failure, Measurement, Report

__all__ = ["Case", "Failure", "Measurement", "Report", "check", "families", "verify"]
