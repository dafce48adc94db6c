"""mysql-connector-python 26.10.0's Django engine, on MariaDB."""

from __future__ import annotations

import datetime

from .plain import Bench, run


def djopt_011(bench: Bench) -> str:
    wrapper = bench.wrapper(TIME_ZONE="Asia/Tokyo")
    wrapper.ensure_connection()
    noon = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
    written = wrapper.ops.adapt_datetimefield_value(noon)
    text = written.decode() if isinstance(written, bytes) else str(written)
    return "" if text.startswith("2026-01-01 21:00") else f"noon in UTC is written as {text!r} for Asia/Tokyo"


if __name__ == "__main__":
    run(globals())
