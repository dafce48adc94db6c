"""How long the kit takes: to its first verdict, and for a full run on SQLite, as a user would start it.

``python -m benchmarks.kit`` prints the medians of whole processes, wall time, with the time that Python and the
SDK's import take alone beside them. Targets: first verdict under 1 s, full run at most 6 s on 2 cores.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 5


def main() -> int:
    bare = [_seconds([sys.executable, "-c", "import backend_sdk.settings"]) for _ in range(RUNS)]
    first, full = zip(*(_run("sqlite3") for _ in range(RUNS)), strict=True)
    print(f"python + settings      {statistics.median(bare):6.2f} s")
    print(f"first verdict          {statistics.median(first):6.2f} s   target < 1")
    print(f"full run on SQLite     {statistics.median(full):6.2f} s   target <= 6")
    return int(statistics.median(first) >= 1 or statistics.median(full) > 6)


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


def _run(target: str) -> tuple[float, float]:
    """Seconds to the first verdict and to the end of one run."""
    started = time.perf_counter()
    command = [sys.executable, "-u", "-m", "conformance", target, "-v"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        first = time.perf_counter() - started
        process.stdout.read()
    if process.returncode != 0:
        raise SystemExit(f"the run on {target} exited with {process.returncode}")
    return first, time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
