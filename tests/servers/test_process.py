"""A server program and its folder are gone when whoever started them is, however that ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.servers.process import Keeper, ServerError, find_program, wait_until

SLEEPER = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
STARTS_ONE = """
import sys, time
from pathlib import Path
from conformance.servers.process import Keeper, wait_until
keeper = Keeper("t")
keeper.start(sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)")
wait_until(lambda: keeper.log or None, "the program's start")
print(keeper.folder, keeper.pid, flush=True)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    except NotADirectoryError:  # no /proc here
        os.kill(pid, 0)
        return True
    return state != "Z"


def start_one(rest: str) -> tuple[subprocess.Popen[str], Path, int]:
    process = subprocess.Popen([sys.executable, "-c", STARTS_ONE + rest], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder, pid = process.stdout.readline().split()
    return process, Path(folder), int(pid)


def finish(process: subprocess.Popen[str]) -> None:
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def assert_gone(folder: Path, pid: int) -> None:
    wait_until(lambda: None if alive(pid) else True, "the program's end", timeout=10)
    wait_until(lambda: None if folder.exists() else True, "the folder's removal", timeout=10)


def test_program_and_folder_are_gone_after_the_starter_is_killed_with_9() -> None:
    process, folder, pid = start_one("time.sleep(600)")
    assert alive(pid)
    assert folder.exists()
    process.kill()
    finish(process)
    assert_gone(folder, pid)


@pytest.mark.parametrize("rest", ["", "raise SystemExit(3)", "import os; os._exit(1)"])
def test_program_and_folder_are_gone_after_the_starter_ends_without_closing(rest: str) -> None:
    process, folder, pid = start_one(rest)
    finish(process)
    assert_gone(folder, pid)


def test_close_kills_at_once_although_a_fork_still_holds_the_pipe() -> None:
    keeper = Keeper("t")
    keeper.start(sys.executable, "-c", "import time; time.sleep(600)")
    pid = keeper.pid
    assert pid is not None
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(writing)
            keeper.close()  # not the child's to close
            os.read(reading, 1)
        finally:
            os._exit(0)
    os.close(reading)
    try:
        assert keeper.running
        keeper.close()
        assert not alive(pid)
        assert not keeper.folder.exists()
    finally:
        os.close(writing)
        os.waitpid(child, 0)


def test_sigkill_takes_the_children_too() -> None:
    with_child = SLEEPER + "print('up', flush=True); time.sleep(600)"
    keeper = Keeper("t")
    try:
        keeper.start(sys.executable, "-c", with_child)
        wait_until(lambda: "up" in keeper.log or None, "the program's start")
        children = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children")
        if not children.exists():
            pytest.skip("no /proc to ask for children")
        (child,) = (int(pid) for pid in children.read_text().split())
        keeper.stop(signal.SIGKILL)
        wait_until(lambda: None if alive(child) else True, "the child's end", timeout=10)
    finally:
        keeper.close()


def test_failing_program_is_an_error_that_says_what_it_printed() -> None:
    keeper = Keeper("t")
    try:
        with pytest.raises(ServerError, match=r"failed \(7\): went wrong"):
            keeper.run(sys.executable, "-c", "print('went wrong'); raise SystemExit(7)")
    finally:
        keeper.close()


def test_waiting_in_vain_says_what_for() -> None:
    with pytest.raises(ServerError, match="the impossible: not within"):
        wait_until(lambda: None, "the impossible", timeout=0)


def test_program_is_found_in_the_first_folder_that_has_it(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sdk-program").touch(mode=0o755)
    assert find_program("sdk-program", [tmp_path, tmp_path / "second", tmp_path / "first"]) == (
        tmp_path / "second" / "sdk-program"
    )
    assert find_program("sdk-program") is None
