"""Django's own tests end through `django_pooled` as they do without it; all of them: ``make django-suite FULL=1``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from conformance.servers.process import Unavailable as NoServer
from tests.django_suite.__main__ import MODULES
from tests.django_suite.comparing import differences, judge, load_expected
from tests.django_suite.running import run, server_of
from tests.django_suite.source import Unavailable, interpreter_of, unpacked

SERIES = "5.2"
HALVES = (MODULES[:5], MODULES[5:])  # each well within a test's time

pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="tried once, with an interpreter of its own")


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The interpreter, and the folder of its Django's source."""
    try:
        interpreter = interpreter_of(SERIES)
        return interpreter, unpacked(interpreter, tmp_path_factory.mktemp("django"))
    except Unavailable as error:
        _missing(str(error))


@pytest.mark.parametrize("half", HALVES, ids=lambda half: half[0])
@pytest.mark.parametrize("engine", ["sqlite3", "sqlite3-memory", "postgresql"])
def test_django_s_own_tests_end_as_they_do_without_the_pool(
    engine: str, half: tuple[str, ...], source: tuple[Path, Path], tmp_path: Path
) -> None:
    interpreter, folder = source
    try:
        with server_of(engine) as place:
            without, pooled = (
                run(interpreter, folder, engine, pooled=pooled, place=place, folder=tmp_path, modules=half)
                for pooled in (False, True)
            )
    except NoServer as error:
        _missing(str(error))
    print(without.summary(), pooled.summary(), sep="\n")
    found = differences(without.outcomes, pooled.outcomes)
    assert judge(found, load_expected(), engine=engine, series=SERIES, modules=half) == []
    passed = [test for test, (outcome, _) in pooled.outcomes.items() if outcome == "ok"]
    assert len(passed) > 300, "nearly nothing was run"


def _missing(message: str) -> NoReturn:
    if os.environ.get("BACKEND_SDK_REQUIRE_SERVICES") == "1":
        pytest.fail(message)
    pytest.skip(message)
