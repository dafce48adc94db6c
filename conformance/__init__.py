"""The conformance kit: says what is wrong with a database backend, where, and what to do."""

from __future__ import annotations

from .support import TestSupport
from .verdict import Result, Verdict

__all__ = ["Result", "TestSupport", "Verdict"]
