#!/bin/sh
# Print the path of a Python that can make a virtual environment: of the version
# named (find-python.sh 3.12), or else the first that is 3.11 or newer.
#
# A version manager leaves shims of versions that are not selected, and a
# distribution may leave ensurepip out, so a name on PATH proves nothing: each is run.
wanted=${1:-}

runs() {
    [ -x "$1" ] && "$1" -c "
import ensurepip, sys, venv
version = sys.version_info[:2]
right = '$wanted' == '%d.%d' % version if '$wanted' else version >= (3, 11)
sys.exit(not right or sys.implementation.name != 'cpython')
" >/dev/null 2>&1
}

candidates() {
    for name in ${wanted:+"python$wanted"} ${wanted:-python3.11} python3 ${wanted:-python3.12 python3.13}; do
        (IFS=:; for folder in $PATH; do echo "$folder/$name"; done)
    done
    for home in "${PYENV_ROOT:-$HOME/.pyenv}/versions" "$HOME/.local/share/uv/python"; do
        for version in ${wanted:-3.11 3.12 3.13}; do
            ls -d "$home"/*"$version".*/bin/python3 2>/dev/null
        done
    done
}

candidates | while IFS= read -r candidate; do
    if runs "$candidate"; then
        echo "$candidate"
        exit 3
    fi
done
[ $? -eq 3 ] && exit 0
[ -n "$wanted" ] || echo "No Python 3.11 or newer with its venv module was found; name one: make PYTHON=..." >&2
exit 1
