"""The command line: what it prints, and what it exits with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from conformance.cli import main
from conformance.report.machine import json_schema

BASELINE = "conformance.selftest.baseline:BaselineBackend"
WRONG = "conformance.selftest.mutants.lifecycle:OneConnectionForAll"
QUICK = ["--select", "TYPE-001,SET-001,LIFE-001,LIFE-009"]


def test_a_right_backend_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([BASELINE, *QUICK]) == 0
    out = capsys.readouterr().out
    assert "no violation" in out
    assert "4 of 4 applicable requirements executed" in out


def test_a_violation_exits_1_and_says_what_where_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([WRONG, *QUICK]) == 1
    out = capsys.readouterr().out
    assert "fail LIFE-009 Each call of get_new_connection returns a connection that nobody else holds" in out
    assert "two wrappers of one backend got the same connection" in out
    assert "mutants/lifecycle.py:" in out
    assert "open a new connection at each call; keep none" in out
    assert f"python -m conformance {WRONG} --select LIFE-009" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sqlit3"], "did you mean 'sqlite3'?"),
        (["no.such.module"], "there is no module 'no'"),
        (["collections:OrderedDict"], "is not a backend: it lacks get_connection_params"),
        (["nowhere/backend.py"], "there is no such file"),
        (["sqlite3", "-o", "timout=3"], "did you mean 'timeout'?"),
        (["sqlite3", "-o", "NAM=x"], "did you mean 'NAME'?"),
        (["sqlite3", "-o", "novalue"], "write it as key=value"),
        (["sqlite3", "--url", "sqlite://host/x"], "HOST means nothing to SQLite"),
        (["sqlite3", "--settings", "missing.toml"], "missing.toml"),
        (["dbapi"], "OPTIONS module is missing"),
        (["dbapi", "-o", "module=no_such_driver"], "there is no module 'no_such_driver'"),
        (["sqlite3", "--level", "7"], "invalid choice"),
        (["sqlite3", "-j", "0"], "not a number from 1 on"),
        (["sqlite3", "--timeout", "soon"], "not a number of seconds"),
        (["sqlite3", "--report", "pdf:x"], "write it as KIND:PATH"),
        (["sqlite3", "--report", "json:/no/such/folder/x.json"], "there is no folder"),
        (["explain", "LIFE-999"], "there is no requirement"),
        ([], "the following arguments are required: target"),
    ],
)
def test_a_mistake_in_the_call_is_one_line_and_exits_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    text = (printed.out + printed.err).strip()
    assert says in text
    assert len(text.splitlines()) == 1
    assert "Traceback" not in text


def test_a_broken_import_shows_the_authors_frames_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = tmp_path / "broken_backend.py"
    module.write_text("def helper():\n    return 1 / 0\n\n\nhelper()\n")
    assert main([str(module)]) == 2
    out = capsys.readouterr().out
    assert "ZeroDivisionError" in out
    assert "broken_backend.py" in out
    assert "importlib" not in out
    assert "conformance/" not in out


def test_an_empty_selection_exits_5() -> None:
    assert main([BASELINE, "--select", "NOTHING"]) == 5


def test_an_unreachable_server_exits_3_and_names_host_and_port_never_the_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = tmp_path / "far_backend.py"
    module.write_text(FAR_BACKEND)
    arguments = [str(module), "-o", "HOST=127.0.0.1", "-o", "PORT=1", "-o", "PASSWORD=hunter2secret"]
    assert main([*arguments, "--select", "LIFE-001"]) == 3
    out = capsys.readouterr().out
    assert "cannot connect to 127.0.0.1:1" in out
    assert "hunter2secret" not in out


FAR_BACKEND = """
from backend_sdk import BaseBackend, ConnectionSettings, ErrorClasses, SupportsDriverErrors
from conformance.fakes import FakeConnection, FakeCursor, FakeDriver


class FarBackend(SupportsDriverErrors, BaseBackend[ConnectionSettings, dict, FakeConnection, FakeCursor], vendor="far"):
    driver_errors = FakeDriver

    def get_connection_params(self):
        return {"password": self.settings.reveal_password()}

    def get_new_connection(self, params, /):
        raise FakeDriver.OperationalError(f"connection refused with password={params['password']}")

    def init_connection_state(self, connection, /):
        pass

    def _cursor(self, connection, /):
        return connection.cursor()
"""


def test_the_json_report_satisfies_its_schema_and_names_every_field(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    assert main([WRONG, BASELINE, *QUICK, "--report", f"json:{file}"]) == 1
    document = json.loads(file.read_text())
    jsonschema.validate(document, json_schema())
    results = {result["id"]: result for result in document["targets"][0]["results"]}
    finding = results["LIFE-009"]
    assert finding["verdict"] == "fail"
    assert finding["group"] == "lifecycle"
    assert finding["observed"] == "two wrappers of one backend got the same connection"
    assert finding["where"].rpartition(":")[0].endswith("lifecycle.py")
    assert finding["advice"]
    assert document["targets"][1]["exit_code"] == 0


def test_a_schema_violation_would_be_noticed() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 2, "kit": "x", "targets": []}, json_schema())


def test_the_junit_report_counts_failures_and_skips(tmp_path: Path) -> None:
    file = tmp_path / "report.xml"
    main([WRONG, *QUICK, "--report", f"junit:{file}"])
    suite = ElementTree.parse(file).getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "0")
    failure = suite.find("testcase[@name='LIFE-009']/failure")
    assert failure is not None
    assert failure.get("message") == "fail: two wrappers of one backend got the same connection"


def test_a_file_is_a_target(tmp_path: Path) -> None:
    module = tmp_path / "own_backend.py"
    module.write_text(
        "from conformance.selftest.baseline import BaselineBackend\n\n\nclass Own(BaselineBackend):\n    pass\n"
    )
    assert main([str(module), *QUICK]) == 0


def test_what_is_inherited_is_said_to_be_not_the_authors_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = tmp_path / "heir.py"
    path, name = WRONG.split(":")
    module.write_text(f"from {path} import {name}\n\n\nclass Heir({name}):\n    pass\n")
    assert main([str(module), *QUICK]) == 1
    assert f"from {path}.{name}, not your code" in capsys.readouterr().out


def test_settings_come_from_a_file_and_single_keys_override_it(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('[DATABASES.default]\nNAME = "x.db"\n[DATABASES.default.OPTIONS]\ntimeout = "soon"\n')
    assert main(["sqlite3", "--settings", str(settings), *QUICK]) == 2
    assert main(["sqlite3", "--settings", str(settings), "-o", "timeout=3", *QUICK]) == 0


def test_list_and_explain_know_every_requirement(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert "LIFE-001  MUST   level 1" in capsys.readouterr().out
    assert main(["explain", "life-009"]) == 0
    assert "source" in capsys.readouterr().out


COLOUR = r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7])m"


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "conformance", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        check=False,
    )


def test_no_colour_where_none_is_wanted() -> None:
    coloured = run(BASELINE, *QUICK, env={"FORCE_COLOR": "1"})
    assert re.search(COLOUR, coloured.stdout)
    plain = run(BASELINE, *QUICK, env={"FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm"})
    assert not re.search(COLOUR, plain.stdout)  # bold and italics may stay
    assert "✓ pass" in plain.stdout


def test_without_the_kits_extra_one_line_says_which(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u, sys\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'rich' else find(name, package)\n"
    )
    path = os.pathsep.join([str(tmp_path), os.getcwd()])
    done = run(BASELINE, env={"PYTHONPATH": path})
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        "conformance: rich is not installed; install the kit's extra: pip install 'backend-sdk[conformance]'"
    ]


def test_an_interrupt_exits_130() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "conformance", "tests.kit.hostile:Hangs", "--timeout", "60", "-v"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # A shell's background job, which these tests may be, ignores interrupts, and so does what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    process.stdout.readline()  # the first verdict is there: the checks are running
    process.send_signal(2)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1] == "conformance: interrupted"
