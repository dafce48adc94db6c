"""Make or refresh a virtual environment: ``python scripts/environment.py .venv dev``.

It installs this tree, editable, with one of its extras, at the versions that ``constraints.txt`` pins.
A stamp newer than what it was made from means that there is nothing to do.
"""

import fcntl
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (ROOT / "pyproject.toml", ROOT / "constraints.txt")
EXTRAS = ("conformance", "test", "dev")  # each contains the ones before it
VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


def main(folder: str, extra: str) -> None:
    environment = ROOT / folder
    # Two first runs at once must not install into one folder together.
    with (ROOT / ".environment.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_fresh(environment / f"{extra}.stamp"):
            build(environment, extra)


def is_fresh(stamp: Path) -> bool:
    return stamp.exists() and all(stamp.stat().st_mtime >= source.stat().st_mtime for source in SOURCES)


def build(environment: Path, extra: str) -> None:
    started = time.monotonic()
    python = sys.version.split()[0]
    print(f"Installing backend-sdk[{extra}] in {environment.name}, Python {python} ...", flush=True)
    if not is_usable(environment):
        run(sys.executable, "-m", "venv", "--clear", str(environment))
    # The build backend comes first, so that it is pinned too.
    install(environment, "hatchling", "editables")
    install(environment, "--no-build-isolation", "--editable", f"{ROOT}[{extra}]")
    for contained in EXTRAS[: EXTRAS.index(extra) + 1]:
        (environment / f"{contained}.stamp").touch()
    print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)


def is_usable(environment: Path) -> bool:
    """Whether its interpreter runs, here, and is of the version that is running this."""
    python = environment / "bin" / "python"
    if not python.exists():
        return False
    answer = subprocess.run([python, "-c", VERSION], capture_output=True, text=True, check=False)
    return answer.stdout.strip() == "{}.{}".format(*sys.version_info)


def install(environment: Path, *arguments: str) -> None:
    # Twice quiet: pip still prints errors, but no longer its opinion of itself.
    pip = (str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq")
    run(*pip, "--constraint", str(ROOT / "constraints.txt"), *arguments)


def run(*command: str) -> None:
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"failed: {' '.join(command)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
