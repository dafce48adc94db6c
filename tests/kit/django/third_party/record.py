"""Judge the published engines anew: ``python -m tests.kit.django.third_party.record [NAME ...]``.

Writes the verdicts and ``docs/engines.md``, and prints what was observed: look each new finding up in the engine's
source, write its reason into ``engines/NAME.toml``, and confirm it in ``confirm/NAME.py``.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from conformance.servers.mysql import mysql_url
from conformance.servers.postgresql import postgresql_url

from .document import FILE, document
from .engines import ENGINES, FOUND, judged, verdict_file, verdicts

SERVERS = {"postgresql": postgresql_url, "mysql": mysql_url}


def main(names: list[str]) -> None:
    chosen = [engine for name, engine in ENGINES.items() if not names or name in names]
    with ExitStack() as stack:
        urls = {
            server: stack.enter_context(SERVERS[server]())
            for server in sorted({engine.server for engine in chosen} - {""})
        }
        for engine in chosen:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            target = judged(engine, urls.get(engine.server, ""), folder)
            verdict_file(engine).write_text(verdicts(target))
            print(f"\n{target['headline']}")
            for result in target["results"]:
                if result["verdict"] in {*FOUND, "could-not-run", "kit-error"}:
                    print(f"  {result['id']} {result['verdict']}: {result['observed']}\n    {result.get('where', '')}")
    FILE.write_text(document())


if __name__ == "__main__":
    main(sys.argv[1:])
