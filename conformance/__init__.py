"""The conformance kit: says what is wrong with a database backend, where, and what to do.

From the shell ``python -m conformance TARGET``; from Python ``conformance.check(target)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .support import TestSupport
from .verdict import Result, Verdict

if TYPE_CHECKING:
    from .api import check
    from .summary import ExitCode, Report

__all__ = ["ExitCode", "Report", "Result", "TestSupport", "Verdict", "check"]


def __getattr__(name: str) -> object:
    # The zygote imports this package at each run and needs none of these.
    if name == "check":
        from .api import check

        return check
    if name in {"ExitCode", "Report"}:
        from . import summary

        return getattr(summary, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
