"""The same verdicts under every Django that is supported, in environments that the project makes itself."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from conformance.selftest.catalogue import mutants_of
from tests.kit.django.test_engines import POOLED, RETURNING, RIGHT, STOCK, STRICT_ON_STOCK

ROOT = Path(__file__).parents[3]
VERSIONS = ("4.2", "5.2", "6.1")

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="each Django has an interpreter of its own, and is tried once, from 3.11"
)


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """A version of Django and the interpreter that has it."""
    wanted: str = request.param
    found = ROOT / f".venv-django-{wanted}" / "bin" / "python"
    if not found.exists():
        message = f"there is no environment with Django {wanted}; make it: python scripts/django_environments.py"
        if os.environ.get("BACKEND_SDK_REQUIRE_SERVICES"):
            pytest.fail(message)
        pytest.skip(message)
    return wanted, found


def judged(python: Path, folder: Path, *arguments: str) -> list[dict[str, object]]:
    file = folder / "report.json"
    subprocess.run(
        [str(python), "-m", "conformance", *arguments, "--report", f"json:{file}"],
        cwd=ROOT,
        check=False,
        capture_output=True,
    )
    targets: list[dict[str, object]] = json.loads(file.read_text())["targets"]
    return targets


def test_the_environment_has_the_django_that_it_is_named_after(python: tuple[str, Path]) -> None:
    wanted, interpreter = python
    code = "import django; print('%d.%d' % django.VERSION[:2])"
    said = subprocess.run([str(interpreter), "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == wanted


def test_right_engines_have_no_violation_under_any_django(python: tuple[str, Path], tmp_path: Path) -> None:
    stock, *engines = judged(python[1], tmp_path, STOCK, RIGHT, POOLED, RETURNING)
    assert _with(stock, "strict") == STRICT_ON_STOCK
    assert [_with(engine, "inherited") for engine in engines] == [STRICT_ON_STOCK] * 3
    for target in (stock, *engines):
        assert target["exit_code"] == 0
        assert _with(target, "fail", "warning", "could-not-run", "kit-error", "blocked") == set()


def test_every_wrong_engine_is_caught_under_each_other_django(python: tuple[str, Path]) -> None:
    if importlib.util.find_spec("django") is not None and version("django").startswith(f"{python[0]}."):
        pytest.skip("this environment's own Django is of that version, and test_engines.py has tried them")
    done = subprocess.run(
        [str(python[1]), "-m", "conformance", "selftest", "--profile", "django"],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert "escaped" not in done.stdout
    assert done.returncode == 0, done.stderr
    count = len(mutants_of("django"))
    assert f"selftest: {count} of {count} wrong backends caught" in done.stdout


def _with(target: dict[str, object], *verdicts: str) -> set[object]:
    results = target["results"]
    assert isinstance(results, list)
    return {result["id"] for result in results if result["verdict"] in verdicts}
