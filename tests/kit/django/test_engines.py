"""Django engines under whatever Django this environment has: right ones, wrong ones, settings, and the two axes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from conformance import Report, Verdict, check
from conformance.checks import load_register
from conformance.cli import main
from conformance.selftest.catalogue import mutants_of, run_catalogue

from . import engines

STOCK = "django:django.db.backends.sqlite3"
RIGHT = "django:conformance.django.mutants.right:DatabaseWrapper"
POOLED = "django:conformance.django.mutants.pooled:DatabaseWrapper"
RETURNING = "django:conformance.django.mutants.returning:DatabaseWrapper"
STRICT_ON_STOCK = {"DJLIFE-008", "DJTHR-005", "DJGC-002"}
STRICT_ALONE = sorted(STRICT_ON_STOCK)
GROUPS = sorted({entry.kills.partition("-")[0] for entry in mutants_of("django")})

pytestmark = pytest.mark.skipif(importlib.util.find_spec("django") is None, reason="Django is not installed")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def ids(report: Report, verdict: Verdict) -> set[str]:
    return {result.id for result in report.results if result.verdict is verdict}


@pytest.mark.parametrize("group", GROUPS)
def test_the_wrong_engines_of_the_group_are_caught(group: str) -> None:
    kills = {entry.kills for entry in mutants_of("django") if entry.kills.startswith(f"{group}-")}
    outcomes = run_catalogue(load_register(), kind="django", only=kills, timeout=15.0)
    assert [(outcome.mutant.target, outcome.why_not) for outcome in outcomes if not outcome.killed] == []
    assert outcomes


def test_the_catalogue_has_fifty_wrong_engines_over_all_groups() -> None:
    entries = mutants_of("django")
    assert len(entries) >= 50
    tried = {entry.id.partition("-")[0] for entry in load_register().values() if entry.id.startswith("DJ")}
    assert set(GROUPS) == tried


def test_stock_sqlite3_meets_djangos_contract_and_breaks_the_stricter_one_in_known_places() -> None:
    report = check(STOCK)
    assert report.violations == []
    assert ids(report, Verdict.STRICT) == STRICT_ON_STOCK
    assert ids(report, Verdict.WARNING) == set()
    assert report.counts[Verdict.COULD_NOT_RUN] + report.counts[Verdict.KIT_ERROR] == 0
    assert report.exit_code == 0


def test_what_is_strict_is_a_violation_under_the_strict_profile_alone() -> None:
    report = check(STOCK, profile="strict")
    assert {result.id for result in report.violations} == STRICT_ON_STOCK
    assert report.exit_code == 1


@pytest.mark.parametrize("target", [RIGHT, POOLED, RETURNING])
@pytest.mark.parametrize("profile", ["django", "strict"])
def test_a_right_engine_answers_for_nothing_that_is_djangos_own(target: str, profile: str) -> None:
    report = check(target, profile=profile)
    assert report.violations == []
    assert ids(report, Verdict.INHERITED) == STRICT_ON_STOCK
    assert report.exit_code == 0


def test_what_is_inherited_is_said_once_and_not_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = engines.engine(folder, "trivial_engine", engines.TRIVIAL)
    assert main([target, "--profile", "strict"]) == 0
    out = capsys.readouterr().out
    assert out.count("not your code, not counted") == 1
    assert out.count("DJLIFE-008") == 1


@pytest.mark.parametrize(
    ("text", "base"),
    [
        (engines.AROUND_DJANGOS_OWN, "django.db.backends.sqlite3.base.DatabaseWrapper"),
        (engines.FROM_THE_BASE_ALONE, "django.db.backends.base.base.BaseDatabaseWrapper"),
    ],
    ids=["from sqlite3", "from the base"],
)
def test_what_djangos_own_engine_does_too_is_inherited_whatever_is_overridden(
    text: str, base: str, folder: Path
) -> None:
    report = check(engines.engine(folder, f"around_{len(text)}_engine", text), profile="strict", select=STRICT_ALONE)
    assert report.violations == []
    assert ids(report, Verdict.INHERITED) == STRICT_ON_STOCK
    inherited = [result for result in report.results if result.verdict is Verdict.INHERITED]
    assert {result.inherited for result in inherited} == {base}
    assert all("/django/" in result.where for result in inherited)


@pytest.mark.parametrize(
    ("id", "text", "says", "line"),
    [
        ("DJLIFE-008", engines.INITIALIZES_BADLY, "the next query raised ProgrammingError", ":6"),
        ("DJGC-002", engines.KEEPS_A_METHOD_OF_ITS_OWN, "its hook refers back to it", ":6"),
        ("DJGC-002", engines.KEEPS_A_METHOD_LATER, "its hook refers back to it", ""),
        ("DJTHR-005", engines.OPENS_BEFORE_IT_LOOKS, "another thread's close() has opened a connection", ":10"),
    ],
)
def test_a_defect_of_his_own_is_the_authors_though_djangos_engine_fails_too(
    id: str, text: str, says: str, line: str, folder: Path
) -> None:
    name = f"own_{len(text)}_engine"
    report = check(engines.engine(folder, name, text), profile="strict", select=STRICT_ALONE)
    assert {result.id for result in report.violations} == {id}
    assert ids(report, Verdict.INHERITED) == STRICT_ON_STOCK - {id}
    found = report.violations[0]
    assert says in found.observed
    assert found.where.endswith(f"{name}/base.py{line}" if line else "")
    assert bool(found.where) == bool(line)


def test_an_engine_without_transactions_that_says_so_is_not_blamed(folder: Path) -> None:
    target = engines.engine(folder, "plain_engine", engines.WITHOUT_TRANSACTIONS)
    report = check(target)
    assert report.violations == []
    assert {"DJTX-002", "DJTX-003", "DJTX-006"} <= ids(report, Verdict.NOT_APPLICABLE)
    assert "DJTX-001" in ids(report, Verdict.PASS)


def test_an_engine_that_initializes_once_per_query_is_not_blamed(folder: Path) -> None:
    report = check(engines.engine(folder, "eager_engine", engines.INITIALIZES_PER_QUERY))
    assert report.violations == []


def test_settings_environment_bootstrap_and_aliases_are_there_when_the_engine_is_loaded(folder: Path) -> None:
    (folder / "surroundings_bootstrap.py").write_text("from django.conf import settings\nSEEN = settings.TIME_ZONE\n")
    target = engines.engine(folder, "surrounded_engine", engines.READS_ITS_SURROUNDINGS)
    file = folder / "settings.toml"
    file.write_text(
        'INSTALLED_APPS = ["django.contrib.contenttypes"]\nTIME_ZONE = "Asia/Tokyo"\nMY_ENGINE_FLAG = 7\n'
        '[CONFORMANCE]\nbootstrap = "surroundings_bootstrap"\n'
        '[CONFORMANCE.environment]\nENGINE_HOME = "there"\n'
        '[DATABASES.default]\nUSER = "me"\n[DATABASES.third]\nENGINE = "django.db.backends.sqlite3"\nNAME = "x"\n'
    )
    assert main([target, "--settings", str(file), "--select", "DJLIFE,DJTX"]) == 0


@pytest.mark.parametrize("form", ["whole", "aliases", "alone"])
def test_the_same_settings_may_be_written_in_json_and_in_every_form(form: str, folder: Path) -> None:
    text = engines.TRIVIAL.replace(
        "    pass",
        "    def get_connection_params(self):\n"
        "        assert self.settings_dict['USER'] == 'me', self.settings_dict\n"
        "        return super().get_connection_params()",
    )
    target = engines.engine(folder, f"json_engine_{form}", text)
    alias: dict[str, object] = {"USER": "me"}
    forms: dict[str, dict[str, object]] = {
        "whole": {"DATABASES": {"default": alias}}, "aliases": {"default": alias}, "alone": alias,
    }  # fmt: skip
    file = folder / "settings.json"
    file.write_text(json.dumps(forms[form]))
    assert main([target, "--settings", str(file), "--select", "DJLIFE-001"]) == 0


def test_settings_without_databases_are_djangos_and_not_an_aliass(folder: Path) -> None:
    text = engines.TRIVIAL.replace(
        "    pass",
        "    def get_connection_params(self):\n"
        "        from django.apps import apps\n"
        "        assert apps.is_installed('django.contrib.contenttypes')\n"
        "        return super().get_connection_params()",
    )
    file = folder / "settings.toml"
    file.write_text('INSTALLED_APPS = ["django.contrib.contenttypes"]\n')
    target = engines.engine(folder, "apps_engine", text)
    assert main([target, "--settings", str(file), "--select", "DJLIFE-001"]) == 0


def test_the_bootstrap_module_comes_before_the_engine_also_where_its_class_is_named(folder: Path) -> None:
    (folder / "early_bootstrap.py").write_text("import builtins\nbuiltins.engine_may_load = True\n")
    engines.engine(folder, "late_engine", f"assert engine_may_load\n{engines.TRIVIAL}")
    file = folder / "settings.toml"
    file.write_text('[CONFORMANCE]\nbootstrap = "early_bootstrap"\n')
    target = "django:late_engine.base:DatabaseWrapper"
    assert main([target, "--settings", str(file), "--select", "DJLIFE-001"]) == 0


def test_a_defect_of_the_surroundings_would_be_noticed(folder: Path) -> None:
    (folder / "surroundings_bootstrap.py").write_text("SEEN = None\n")
    target = engines.engine(folder, "lonely_engine", engines.READS_ITS_SURROUNDINGS)
    report = check(target, {"NAME": ""}, select=["DJLIFE-001"])
    assert "KeyError: 'ENGINE_HOME'" in report.results[0].observed


@pytest.mark.parametrize(
    ("target", "text", "says"),
    [
        ("django:no_such_engine", "", "there is no module 'no_such_engine'"),
        ("django:json", "", "Django loads an engine from ENGINE.base"),
        ("django:django.db.backends.sqlite3", "[CONFORMANCE]\nbootsrap = 'x'\n", "CONFORMANCE.bootsrap is unknown"),
        (
            "django:django.db.backends.sqlite3",
            "[CONFORMANCE]\nbootstrap = 'not_there'\n",
            "'not_there' cannot be loaded",
        ),
        ("django:django.db.backends.sqlite3", "[CONFORMANCE.environment]\nX = 3\n", "environment.X must be a text"),
        ("django:django.db.backends.sqlite3", "installed_apps = []\n[DATABASES.default]\n", "written in upper case"),
        ("django:django.db.backends.sqlite3", "DATABASES = 3\n", "DATABASES must be a table of aliases"),
        ("django:conformance.django.mutants.right:Nothing", "", "no DatabaseWrapper derived from Django's"),
        (STOCK, "CONFORMANCE = 3\n", "CONFORMANCE must be a table"),
        (STOCK, "[CONFORMANCE]\nenvironment = 'x'\n", "CONFORMANCE.environment must be a table of texts"),
        (STOCK, "[CONFORMANCE]\nbootstrap = 7\n", "CONFORMANCE.bootstrap must be a module's name"),
        (STOCK, "[CONFORMANCE]\ntest_support = 7\n", "CONFORMANCE.test_support must be a path"),
        (STOCK, "INSTALLED_APPS = ['no_such_app']\n", "INSTALLED_APPS: there is no module 'no_such_app'"),
        (STOCK, "INSTALLED_APPS = 'auth'\n", "INSTALLED_APPS must be a list of names"),
        (STOCK, "TIME_ZONE = 'Mars/Base'\n", "TIME_ZONE = 'Mars/Base' is no time zone"),
        (STOCK, "[DATABASES.default]\nname = 'x'\n", "DATABASES.default.name: keys are written in upper case"),
        (STOCK, "[DATABASES.default]\nOPTIONS = 3\n", "DATABASES.default.OPTIONS must be a table"),
        (STOCK, "USE_TZ = false\n[DATABASES.default]\nTIME_ZONE = 'UTC'\n", "unless USE_TZ is true"),
        (STOCK, "INSTALLED_APPS = ['django.contrib.gis', 'django.contrib.gis']\n", "Django refuses the settings: App"),
        (STOCK, "INSTALLED_APPS = ['django.contrib.admin']\n", "Django refuses the settings: Model class"),
    ],
)
def test_a_mistake_in_the_call_is_one_line_and_exits_2(
    target: str, text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    assert main([target, "--settings", str(file)]) == 2
    printed = capsys.readouterr()
    lines = (printed.out + printed.err).strip().splitlines()
    assert len(lines) == 1
    assert says in lines[0]


def test_a_password_in_the_settings_is_never_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = engines.engine(
        folder,
        "talkative_engine",
        engines.TRIVIAL.replace(
            "    pass",
            "    def get_new_connection(self, params):\n"
            "        raise ValueError('password is ' + self.settings_dict['PASSWORD'])",
        ),
    )
    assert main([target, "-o", "PASSWORD=hunter2secret", "--select", "DJLIFE-001", "-v"]) == 1
    out = capsys.readouterr().out
    assert "password is ***" in out
    assert "hunter2secret" not in out


def test_an_error_reaches_the_report_with_the_engines_line(folder: Path) -> None:
    text = engines.TRIVIAL.replace("    pass", "    def get_new_connection(self, params):\n        return 1 / 0")
    result = check(engines.engine(folder, "failing_engine", text), select=["DJLIFE-001"]).results[0]
    assert result.verdict is Verdict.FAIL
    assert result.where.endswith("failing_engine/base.py:7")


def test_listing_the_requirements_and_the_catalogue_imports_no_django() -> None:
    code = (
        "import sys\nfrom conformance.checks import load_register\n"
        "from conformance.selftest.catalogue import mutants_of\n"
        "assert load_register() and mutants_of('django')\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] in {'django', 'duckdb'}]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_django_the_target_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['django'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert main([STOCK]) == 2
    assert "Django is not installed in this environment" in capsys.readouterr().out
