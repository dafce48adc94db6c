"""The README's Python runs as written, in order, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 5
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "readme"}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"README.md, block {number}", "exec"), namespace)


def test_the_make_targets_it_names_exist() -> None:
    named = set(re.findall(r"make ([a-z-]+)", README.read_text())) - {"a"}
    makefile = (README.parent / "Makefile").read_text()
    assert {target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()
