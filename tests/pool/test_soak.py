"""A short run of the soak: its accounts add up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks import soak_pools


def test_nothing_is_lost_doubled_or_left_behind(
    make_postgresql: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    make_postgresql().close()  # skips where there is none
    code = soak_pools.main(["--total", "800", "--threads", "8", "--restarts", "1"])
    told = capsys.readouterr().out
    assert code == 0, told
    assert "restarts 1" in told
