"""The compiled gradient beside the exact one."""

from .judge import verify
from .report import Report

__all__ = ["Report", "verify"]
