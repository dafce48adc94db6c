"""What a hostile backend can do to the run: cost one verdict."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conformance.checks import load_register
from conformance.launch import Launcher, fresh, warm
from conformance.runner import Refused, Selection, run_checks
from conformance.servers.process import wait_until
from conformance.verdict import Result, Verdict

HERE = "tests.kit.hostile"


def judge(name: str, *ids: str, timeout: float = 20.0) -> dict[str, Result]:
    results = run_checks(f"{HERE}:{name}", load_register(), Selection(ids, timeout=timeout, jobs=2))
    return {result.id: result for result in results}


def line_of(name: str, text: str) -> int:
    """The line of *text* after ``class name`` in the module of hostile backends."""
    lines = Path(__file__).with_name("hostile.py").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"class {name}("))
    return next(number for number, line in enumerate(lines[start:], start + 1) if text in line)


@pytest.mark.parametrize("name", ["Hangs", "HangsWithTheInterpretersLock"])
def test_a_hang_costs_one_verdict_and_shows_the_stacks_of_all_threads(name: str) -> None:
    results = judge(name, "LIFE-001", "TYPE-001", timeout=3.0)
    assert results["TYPE-001"].verdict is Verdict.PASS
    hang = results["LIFE-001"]
    assert hang.verdict is Verdict.HANG
    assert "init_connection_state" in hang.details
    word = "wait()" if name == "Hangs" else "pass"
    assert hang.where.endswith(f"hostile.py:{line_of(name, word)}") or "hostile.py" in hang.where


def test_a_hang_that_blocks_every_signal_is_ended_all_the_same() -> None:
    assert judge("IgnoresSignals", "LIFE-001", timeout=0.5)["LIFE-001"].verdict is Verdict.HANG


def test_a_crash_names_the_signal_and_the_line() -> None:
    crash = judge("Segfaults", "LIFE-001")["LIFE-001"]
    assert crash.verdict is Verdict.CRASH
    assert "SIGSEGV" in crash.observed
    assert crash.where.endswith(f"hostile.py:{line_of('Segfaults', 'os.kill')}")


def test_a_polite_exit_is_a_crash_and_names_the_line() -> None:
    crash = judge("ExitsPolitely", "LIFE-001")["LIFE-001"]
    assert crash.verdict is Verdict.CRASH
    assert "SystemExit" in crash.observed
    assert crash.where.endswith(f"hostile.py:{line_of('ExitsPolitely', 'sys.exit')}")


@pytest.mark.parametrize("name", ["ExitsAtOnce", "ClosesDescriptors"])
def test_an_end_without_a_verdict_is_a_crash_never_a_pass(name: str) -> None:
    results = judge(name, "TYPE-001", "LIFE-001", "LIFE-003")
    assert results["TYPE-001"].verdict is Verdict.PASS
    assert results["LIFE-001"].verdict is Verdict.CRASH
    assert "without a verdict" in results["LIFE-001"].observed
    assert results["LIFE-003"].verdict is Verdict.BLOCKED


def test_what_a_backend_prints_reaches_the_result_and_not_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    result = judge("EatsTheTerminal", "LIFE-001")["LIFE-001"]
    assert result.verdict is Verdict.PASS
    assert "look at me" in result.output
    assert "look at me" not in "".join(capfd.readouterr())


def test_processes_that_a_check_leaves_behind_are_ended() -> None:
    result = judge("LeavesAProcessBehind", "LIFE-001")["LIFE-001"]
    assert result.verdict is Verdict.PASS
    left = re.findall(r"left behind: (\d+)", result.output)
    assert left
    assert wait_until(lambda: True if not any(map(_is_alive, left)) else None, "their end", timeout=10)


def _is_alive(pid: str) -> bool:
    """Killed is enough: whoever inherited it may not have reaped it yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_a_module_that_ends_the_process_on_import_is_refused(tmp_path: Path) -> None:
    module = tmp_path / "exits_on_import.py"
    module.write_text("import os\nos._exit(0)\n")
    with pytest.raises(Refused, match="ended the process"):
        run_checks(str(module), load_register(), Selection(("TYPE-001",)))


def test_a_module_that_hangs_on_import_is_refused(tmp_path: Path) -> None:
    module = tmp_path / "hangs_on_import.py"
    module.write_text("import threading\nthreading.Event().wait()\n")
    with pytest.raises(Refused, match="did not return"):
        run_checks(str(module), load_register(), Selection(("TYPE-001",), load_timeout=1.0))


@pytest.mark.parametrize(("name", "verdict"), [("ExitsWhenMade", Verdict.CRASH), ("HangsWhenMade", Verdict.HANG)])
def test_a_backend_that_cannot_be_made_costs_one_verdict_too(name: str, verdict: Verdict) -> None:
    results = judge(name, "TYPE-001", "SET-001", timeout=3.0)
    assert results["TYPE-001"].verdict is Verdict.PASS
    assert results["SET-001"].verdict is verdict


def test_no_backend_has_been_made_before_a_check_makes_one() -> None:
    assert judge("CountsWhatIsMade", "SET-001")["SET-001"].verdict is Verdict.PASS


@pytest.mark.parametrize("name", ["OpensWhenMade", "AroundOneThatOpens"])
def test_what_a_backend_opens_when_made_is_in_the_runs_own_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    every = [entry.id for entry in load_register().values() if entry.profile == "sdk" and entry.level <= 1]
    results = judge(name, *every)
    assert results["SET-001"].verdict is Verdict.PASS
    assert list(tmp_path.iterdir()) == []


def test_what_a_backend_around_another_does_when_made_is_not_done_where_checks_fork() -> None:
    assert judge("AroundOneThatCounts", "SET-001")["SET-001"].verdict is Verdict.PASS


@pytest.mark.parametrize("launch", [fresh, warm()], ids=["fresh", "warm"])
def test_each_run_sees_the_environment_and_the_folder_of_its_own_start(
    launch: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("first", "second"):
        (tmp_path / value).mkdir()
        monkeypatch.chdir(tmp_path / value)
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        monkeypatch.setenv("HOSTILE", value)
        selection = Selection(("LIFE-001",), launch=launch)
        (result,) = run_checks(f"{HERE}:TellsWhereItIs", load_register(), selection)
        assert f"HOSTILE={value} in {tmp_path / value}" in result.observed


def test_from_a_warm_process_a_hostile_backend_costs_as_little() -> None:
    wanted = {"Segfaults": Verdict.CRASH, "ExitsAtOnce": Verdict.CRASH, "ClosesDescriptors": Verdict.CRASH}
    for name, verdict in wanted.items():
        selection = Selection(("TYPE-001", "LIFE-001"), launch=warm())
        results = {result.id: result for result in run_checks(f"{HERE}:{name}", load_register(), selection)}
        assert results["LIFE-001"].verdict is verdict
        assert results["TYPE-001"].verdict is Verdict.PASS
    with pytest.raises(Refused, match="there is no such file"):
        run_checks("nowhere.py", load_register(), Selection(("TYPE-001",), launch=warm()))
