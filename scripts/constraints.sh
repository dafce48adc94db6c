#!/bin/sh
# constraints.sh PYTHON: resolve every extra anew and pin what came out.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$1" -m venv "$scratch"
"$scratch/bin/python" -m pip install -qq hatchling editables
"$scratch/bin/python" -m pip install -qq --no-build-isolation --editable '.[dev,docs]'
"$scratch/bin/python" -m pip freeze -q --exclude-editable >"$scratch/frozen"
{
    echo "# Written by \`make constraints\`."
    cat "$scratch/frozen"
} >constraints.txt
