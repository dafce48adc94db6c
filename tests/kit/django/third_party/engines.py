"""Published Django engines: which, at what version, with which settings, and why each finding about them is true.

``engines/*.toml`` has one each. ``python -m tests.kit.django.third_party.record`` judges them anew and writes the
verdicts and ``docs/engines.md``; read the difference before committing it.
"""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from backend_sdk import parse_url

__all__ = ["ENGINES", "ROOT", "Engine", "Finding", "alias_settings", "judged", "recorded", "verdict_file", "verdicts"]

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
FOUND = ("fail", "hang", "crash", "warning", "strict")


@dataclass(frozen=True)
class Finding:
    """``where``: file and line in the published source. ``confirmed``: a script without the kit shows it too."""

    id: str
    where: str
    says: str
    confirmed: bool = False


@dataclass(frozen=True)
class Engine:
    """``target`` is what ENGINE is set to; ``stock`` the engine of Django's that it stands for."""

    name: str
    distribution: str
    version: str
    django: str
    target: str
    stock: str
    about: str
    server: str = ""
    database: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    kit: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def python(self) -> Path:
        """The interpreter of the environment that has it."""
        return ROOT / f".venv-engines-{self.django}" / "bin" / "python"

    @property
    def confirmed(self) -> list[str]:
        return [finding.id for finding in self.findings if finding.confirmed]


def _load(file: Path) -> Engine:
    content = tomllib.loads(file.read_text())
    findings = tuple(Finding(**table) for table in content.pop("finding", []))
    return Engine(name=file.stem, findings=findings, **content)


ENGINES = {file.stem: _load(file) for file in sorted((HERE / "engines").glob("*.toml"))}


def alias_settings(engine: Engine, url: str) -> dict[str, Any]:
    """DATABASES["default"] for *engine* on the server at *url*; empty for a file."""
    server = {key: value for key, value in parse_url(url).items() if key != "ENGINE"} if url else {}
    return {**server, **engine.database}


def judged(engine: Engine, url: str, folder: Path) -> dict[str, Any]:
    """The kit's report on *engine*, from the interpreter that has it."""
    settings, report = folder / "settings.json", folder / "report.json"
    tables = {"DATABASES": {"default": alias_settings(engine, url)}, "CONFORMANCE": engine.kit}
    settings.write_text(json.dumps({**engine.settings, **tables}))
    done = subprocess.run(
        [str(engine.python), "-m", "conformance", f"django:{engine.target}",
         "--settings", str(settings), "--report", f"json:{report}"],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if not report.exists():
        raise AssertionError(f"{engine.name}: no report\n{done.stdout}\n{done.stderr}")
    targets: list[dict[str, Any]] = json.loads(report.read_text())["targets"]
    return targets[0]


def verdicts(target: Mapping[str, Any]) -> str:
    """A line per requirement; what was observed may hold a time or a name made for the run."""
    results = cast("list[dict[str, str]]", target["results"])
    return "".join(f"{result['id']} {result['verdict']}\n" for result in results)


def verdict_file(engine: Engine) -> Path:
    return HERE / "verdicts" / f"{engine.name}.txt"


def recorded(engine: Engine) -> dict[str, str]:
    """The verdicts by ID, as they were recorded."""
    lines = verdict_file(engine).read_text().splitlines()
    return {id: verdict for id, _, verdict in (line.partition(" ") for line in lines)}
