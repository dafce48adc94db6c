"""Make the environments in which the kit's Django profile is tried: ``python scripts/django_environments.py``.

Each has this tree, editable, with the kit's extra, one Django, and the drivers of Django's own engines; a stamp
newer than ``pyproject.toml`` and this file means that there is nothing to do. A Python that this machine lacks is
reported, and so is a driver that cannot be compiled here: what needs it is then not tried.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DJANGOS = {"4.2": "3.11", "5.2": "3.11", "6.1": "3.12"}
EXTRAS = "conformance,mysql,postgresql,spatialite"
POOL = "psycopg_pool"
TRACEBACKS = "tblib==3.2.2"
"""With which Django's own tests, run in parallel, can say what failed."""
COMPILED = "mysqlclient==2.2.8"
"""Django's driver for MySQL has no wheels here; it is compiled against what ``make services`` installs."""


def main() -> None:
    missing = [f"Django {django} (Python {python})" for django, python in DJANGOS.items() if not made(django, python)]
    if missing:
        sys.exit(f"not made: {', '.join(missing)}")


def made(django: str, version: str) -> bool:
    """Whether the environment is there, after making it where it was not."""
    environment = ROOT / f".venv-django-{django}"
    stamp = environment / "made.stamp"
    sources = (ROOT / "pyproject.toml", ROOT / "constraints.txt", Path(__file__))
    if stamp.exists() and all(stamp.stat().st_mtime >= source.stat().st_mtime for source in sources):
        return True
    python = find(version)
    if not python:
        return False
    print(f"Making {environment.name} with Python {version} ...", flush=True)
    if not (environment / "bin" / "python").exists():
        run(python, "-m", "venv", str(environment))
    constraints = environment / "constraints.txt"  # the project's own, but for Django
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    constraints.write_text("\n".join(line for line in pins if not line.lower().startswith("django==")) + "\n")
    pip = (str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq")
    pinned = (*pip, "--constraint", str(constraints))
    run(*pinned, f"django~={django}.0", POOL, TRACEBACKS, "--editable", f"{ROOT}[{EXTRAS}]")
    if subprocess.run([*pinned, COMPILED], check=False).returncode:
        print(f"!!! {COMPILED} cannot be compiled here: Django on MySQL is not tried (make services)", file=sys.stderr)
        return True  # without a stamp, so that it is tried again
    stamp.touch()
    return True


def find(version: str) -> str:
    found = subprocess.run(
        [str(ROOT / "scripts" / "find-python.sh"), version], capture_output=True, text=True, check=False, cwd=ROOT
    )
    return found.stdout.strip() if found.returncode == 0 else ""


def run(*command: str) -> None:
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"failed: {' '.join(command)}")


if __name__ == "__main__":
    main()
