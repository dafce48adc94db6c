"""The settings file of docs/judging.md, as it stands there, with an engine that looks whether all of it has arrived."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path

import pytest

from conformance.cli import main

from . import engines

DOCUMENT = Path(__file__).parents[3] / "docs" / "judging.md"

ENGINE = """
import os

from django.apps import apps
from django.conf import settings
from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite

from my_project.bootstrap import SEEN


class DatabaseWrapper(SQLite):
    def get_connection_params(self):
        assert os.environ["MY_ENGINE_HOME"] == "/var/lib/my_engine"
        assert apps.is_installed("django.contrib.contenttypes")
        assert settings.MY_ENGINE_LOG == "quiet" and settings.USE_TZ is True
        assert SEEN == ["quiet"]
        if self.alias == "default":
            assert self.settings_dict["USER"] == "tester" and self.settings_dict["TIME_ZONE"] == "Asia/Tokyo"
            assert self.settings_dict["OPTIONS"] == {"timeout": 3}
        assert connections.settings["reports"]["NAME"] == "reports.sqlite3"
        return super().get_connection_params()
"""
SUPPORT = """
class Support:
    def sessions(self, mapping):
        open(mapping["NAME"] + ".asked", "w").close()
        raise ValueError("the support of the settings file was asked")
"""

pytestmark = pytest.mark.skipif(importlib.util.find_spec("django") is None, reason="Django is not installed")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.syspath_prepend(str(tmp_path))
    engines.engine(tmp_path, "my_engine", ENGINE)
    (tmp_path / "my_engine" / "testing.py").write_text(SUPPORT)
    (tmp_path / "my_project").mkdir()
    (tmp_path / "my_project" / "bootstrap.py").write_text(
        "import sys\nfrom django.conf import settings\n"
        "assert 'my_engine.base' not in sys.modules\nSEEN = [settings.MY_ENGINE_LOG]\n"
    )
    found = re.search(
        r"```toml\n(# settings\.toml, for: python -m conformance django:.*?)```", DOCUMENT.read_text(), re.DOTALL
    )
    assert found is not None
    return found[1]


@pytest.mark.parametrize("kind", ["toml", "json"])
def test_the_documented_settings_file_reaches_the_engine(
    settings: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"settings.{kind}"
    file.write_text(settings if kind == "toml" else json.dumps(tomllib.loads(settings)))
    code = main(["django:my_engine", "--settings", str(file), "--select", "DJLIFE-001,DJLIFE-005,DJTX-002,DJGC-001"])
    out = capsys.readouterr().out
    assert "the support of the settings file was asked" in out
    assert out.count("DJGC-001") >= 1
    assert "DJLIFE-005" not in out
    assert "DJTX-002" not in out
    assert code != 0
