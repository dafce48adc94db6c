"""Make the environments for published Django engines: ``python -m scripts.third_party_engines``.

One per Django: this tree, editable, with the kit's extra, and the engines at the versions that
``tests/kit/django/third_party/requirements-*.txt`` pins. A stamp newer than what it was made from means that there is
nothing to do. A Python that this machine lacks is reported.
"""

import sys
from pathlib import Path

from scripts.django_environments import ROOT, find, run

FOLDER = ROOT / "tests" / "kit" / "django" / "third_party"
PYTHON = "3.11"


def main() -> None:
    missing = [
        file.stem.removeprefix("requirements-") for file in sorted(FOLDER.glob("requirements-*.txt")) if not made(file)
    ]
    if missing:
        sys.exit(f"not made: third-party engines for Django {', '.join(missing)} (Python {PYTHON})")


def made(requirements: Path) -> bool:
    """Whether the environment is there, after making it where it was not."""
    django = requirements.stem.removeprefix("requirements-")
    environment = ROOT / f".venv-engines-{django}"
    stamp = environment / "made.stamp"
    sources = (requirements, ROOT / "pyproject.toml", ROOT / "constraints.txt", Path(__file__))
    if stamp.exists() and all(stamp.stat().st_mtime >= source.stat().st_mtime for source in sources):
        return True
    python = find(PYTHON)
    if not python:
        return False
    print(f"Making {environment.name} with Python {PYTHON} ...", flush=True)
    run(python, "-m", "venv", "--clear", str(environment))
    constraints = environment / "constraints.txt"
    constraints.write_text(_pins(requirements))
    pip = (str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq")
    run(*pip, "--constraint", str(constraints), "--requirement", str(requirements), f"django~={django}.0",
        "--editable", f"{ROOT}[conformance]")  # fmt: skip
    stamp.touch()
    return True


def _pins(requirements: Path) -> str:
    """The project's own pins, but for Django and for what the engines' requirements pin themselves."""
    theirs = {_name(line) for line in requirements.read_text().splitlines()} | {"django"}
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    return "\n".join(line for line in pins if _name(line) not in theirs) + "\n"


def _name(line: str) -> str:
    return line.partition("==")[0].partition("[")[0].strip().lower()


if __name__ == "__main__":
    main()
