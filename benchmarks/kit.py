"""How long the kit takes: to its first verdict, and for a full run on SQLite, as a user would start it.

``python -m benchmarks.kit`` prints the medians of whole processes, wall time, with the time that Python and the
SDK's import take alone beside them. Targets: first verdict under 1 s, full run at most 6 s on 2 cores. For Django's
own engines, sqlite3 at most 10 s and postgresql at most 30 s, its server's start within; the processor time that the
kit and all of its children took stands beside it, since a busy machine stretches the other.
"""

from __future__ import annotations

import importlib.util
import resource
import statistics
import subprocess
import sys
import time

RUNS = 5
ON_DJANGO = {"sqlite3": 10.0, "postgresql": 30.0}
"""Seconds that a full run on each of Django's own engines may take, on 2 cores."""


def main() -> int:
    bare = [_seconds([sys.executable, "-c", "import backend_sdk.settings"]) for _ in range(RUNS)]
    first, full = zip(*(_run("sqlite3") for _ in range(RUNS)), strict=True)
    print(f"python + settings      {statistics.median(bare):6.2f} s")
    print(f"first verdict          {statistics.median(first):6.2f} s   target < 1")
    print(f"full run on SQLite     {statistics.median(full):6.2f} s   target <= 6")
    late = [engine for engine, target in ON_DJANGO.items() if _on_django(engine, target)]
    return int(statistics.median(first) >= 1 or statistics.median(full) > 6 or bool(late))


def _on_django(engine: str, target: float) -> bool:
    """Print the row of one engine; whether it took too long. The median of three runs."""
    if importlib.util.find_spec("django") is None:
        print(f"Django's {engine:<12}           Django is not installed")
        return False
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = statistics.median(_run(f"django:django.db.backends.{engine}")[1] for _ in range(3))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 3
    print(f"Django's {engine:<12}  {seconds:6.2f} s   target <= {target:g}   processors {busy:.2f} s")
    return seconds > target


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
