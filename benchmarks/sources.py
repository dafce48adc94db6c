"""How the rows take their samples: time a peer's loop, weigh its wrapper, start a fresh interpreter."""

import gc
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import Sampler, timed_sampler
from benchmarks.peers import PEERS
from benchmarks.rows import NotInstalledError, Source, WrongResultError

ROOT = Path(__file__).resolve().parent.parent
WEIGHED = 2000
"""Wrappers that are made for one weighing: enough for a few stray bytes not to show."""
REPEATED = 100_000
"""Repetitions that a leak is looked for in: enough for what a driver caches not to look like one."""


def timed(operation: str, expected: object = None) -> Source:
    """Time an operation of the peers, after a look at whether it does the work."""

    @contextmanager
    def source(name: str) -> Iterator[Sampler]:
        with PEERS[name].opener(operation)() as loop:
            result = loop(1)
            if result != expected:
                raise WrongResultError(f"{name} {operation}: expected {expected!r}, got {result!r}")
            yield timed_sampler(loop, time.thread_time_ns)

    return source


@contextmanager
def wrapper_bytes(name: str) -> Iterator[Sampler]:
    """Memory that one more unopened wrapper takes, the garbage collector's header included."""
    make = PEERS[name].wrapper_maker()

    kept: list[object] = [make()] * WEIGHED
    yield lambda: traced(lambda: refill(kept, make)) / WEIGHED


@contextmanager
def wrapper_objects(name: str) -> Iterator[Sampler]:
    """Objects that one more unopened wrapper gives the garbage collector to walk."""
    make = PEERS[name].wrapper_maker()
    kept: list[object] = [make()] * WEIGHED

    def sample() -> float:
        before = len(gc.get_objects())
        refill(kept, make)
        return (len(gc.get_objects()) - before) / WEIGHED

    yield sample


def refill(kept: list[object], make: Callable[[], object]) -> None:
    """Put a new object into every place, in a list that need not grow for it."""
    for index in range(len(kept)):
        kept[index] = make()


def traced(action: Callable[[], object]) -> int:
    """By how many bytes the memory in use grows while the action runs."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        action()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def kept_bytes(operation: str) -> Source:
    """Memory that an operation of the peers leaves behind each time, on one connection."""

    @contextmanager
    def source(name: str) -> Iterator[Sampler]:
        with PEERS[name].opener(operation)() as loop:
            loop(WEIGHED)
            yield lambda: traced(lambda: loop(REPEATED)) / REPEATED

    return source


@contextmanager
def import_time(name: str) -> Iterator[Sampler]:
    """CPU time of a fresh interpreter that imports the module; ``python`` imports nothing.

    User and system time together: the kernel knows the sum exactly and only estimates the parts. Every
    contender finds its compiled files in a folder of its own, whatever the environment says about them.
    """
    if name != "python" and importlib.util.find_spec(name.partition(".")[0]) is None:
        raise NotInstalledError(name.partition(".")[0])
    statement = "pass" if name == "python" else f"import {name}"
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
        run_python(statement, environment)

        def sample() -> float:
            before = children_cpu()
            run_python(statement, environment)
            return (children_cpu() - before) * 1e9

        yield sample


def children_cpu() -> float:
    """Seconds of CPU that finished child processes have used, to the microsecond."""
    import resource  # not on Windows, where the other rows still run

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_python(code: str, environment: Mapping[str, str] | None = None) -> str:
    """What a fresh interpreter prints that runs the code beside these packages."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def loaded_by(*modules: str) -> Source:
    """Whether importing the modules loads a contender, which is a module here: 1 or 0."""

    @contextmanager
    def source(name: str) -> Iterator[Sampler]:
        imports = f"known = set(sys.modules); import {', '.join(modules)}"
        code = f"import sys; {imports}; print({name!r} in set(sys.modules) - known)"
        yield lambda: float(run_python(code).strip() == "True")

    return source
