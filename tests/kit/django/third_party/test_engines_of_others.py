"""Published engines, unmodified: the kit says of each what was recorded, and nothing that is not so.

Each finding has its reason in ``engines/NAME.toml``; what breaks Django's own contract is shown by a script too, with
Django and the driver alone, and the same script sees nothing wrong with Django's own engine.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from .confirming import confirmed
from .document import FILE, document
from .engines import ENGINES, FOUND, ROOT, Engine, judged, recorded, verdicts

VIOLATIONS = ("fail", "hang", "crash")

needs_environment = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the engines have interpreters of their own, and are tried once, from 3.11"
)


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    found = ENGINES[request.param]
    if not found.python.exists():
        message = f"no environment for Django {found.django}; make it: python -m scripts.third_party_engines"
        if os.environ.get("BACKEND_SDK_REQUIRE_SERVICES") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture
def url(request: pytest.FixtureRequest, engine: Engine) -> str:
    """The server that *engine* is tried on; empty for a file."""
    return str(request.getfixturevalue(f"{engine.server}_url")) if engine.server else ""


@needs_environment
def test_a_published_engine_gets_its_recorded_verdicts(engine: Engine, url: str, tmp_path: Path) -> None:
    said = dict(line.split(" ", 1) for line in verdicts(judged(engine, url, tmp_path)).splitlines())
    assert said == recorded(engine), "if the difference is right: python -m tests.kit.django.third_party.record"


@needs_environment
def test_what_the_kit_says_of_it_is_so_without_the_kit(engine: Engine, url: str, tmp_path: Path) -> None:
    if not engine.confirmed:
        assert not any(verdict in VIOLATIONS for verdict in recorded(engine).values())
        return
    assert _seen(confirmed(engine, url, tmp_path, stock=False)) == sorted(engine.confirmed)


@needs_environment
def test_the_confirming_script_sees_nothing_in_djangos_own_engine(engine: Engine, url: str, tmp_path: Path) -> None:
    if engine.confirmed:
        said = confirmed(engine, url, tmp_path, stock=True)
        assert sorted(said) == sorted(engine.confirmed)
        assert _seen(said) == []


@needs_environment
def test_the_environment_has_the_engine_and_the_django_that_are_named(engine: Engine) -> None:
    code = (
        "import sys, django; from importlib.metadata import version; "
        "print('%d.%d' % django.VERSION[:2], version(sys.argv[1]))"
    )
    command = [str(engine.python), "-c", code, engine.distribution]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.split() == [engine.django, engine.version]


@needs_environment
def test_each_reason_points_into_the_published_source(engine: Engine) -> None:
    packages = next((engine.python.parent.parent / "lib").glob("python3.*")) / "site-packages"
    for finding in engine.findings:
        file, _, line = finding.where.partition(":")
        text = (packages / file).read_text().splitlines()
        assert text[int(line) - 1].strip(), finding


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_every_finding_has_a_reason_and_every_violation_a_confirmation(name: str) -> None:
    engine = ENGINES[name]
    found = {id: verdict for id, verdict in recorded(engine).items() if verdict in FOUND}
    assert {finding.id for finding in engine.findings} == set(found)
    assert all(finding.says and re.fullmatch(r"[\w/]+\.py:\d+", finding.where) for finding in engine.findings)
    assert {id for id, verdict in found.items() if verdict in VIOLATIONS} <= set(engine.confirmed)


def test_nothing_that_was_recorded_is_the_kits_own_fault() -> None:
    faults = {name: _with(recorded(engine), "kit-error", "could-not-run") for name, engine in ENGINES.items()}
    assert not any(faults.values()), faults


def test_there_are_engines_enough_and_some_of_them_clean() -> None:
    clean = [name for name, engine in ENGINES.items() if not _with(recorded(engine), *VIOLATIONS)]
    assert len({engine.distribution for engine in ENGINES.values()}) >= 8
    assert len(clean) >= 2


def test_the_page_is_up_to_date() -> None:
    assert FILE.read_text() == document(), "python -m tests.kit.django.third_party.record"


def _seen(said: Mapping[str, str]) -> list[str]:
    """The findings of which a script saw something; one that broke down has seen nothing."""
    assert not [text for text in said.values() if text.startswith("!")], said
    return sorted(id for id, text in said.items() if text != "-")


def _with(found: Mapping[str, str], *wanted: str) -> list[str]:
    return [id for id, verdict in found.items() if verdict in wanted]
