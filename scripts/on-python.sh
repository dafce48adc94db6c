#!/bin/sh
# on-python.sh VERSION ARGUMENT...: run that Python, in an environment of its own
# (.venv itself when it has the version). A version that this machine lacks is
# reported; OTHERWISE names the environment to run in instead, if any.
version=$1
shift

if .venv/bin/python -c "import sys; sys.exit('$version' != '%d.%d' % sys.version_info[:2])"; then
    environment=.venv
elif python=$(scripts/find-python.sh "$version"); then
    environment=.venv-$version
    "$python" scripts/environment.py "$environment" test || exit
elif [ -n "$OTHERWISE" ]; then
    environment=$OTHERWISE
    echo "!!! PYTHON $version IS NOT ON THIS MACHINE: running in $environment instead" >&2
else
    echo "!!! PYTHON $version IS NOT ON THIS MACHINE: not run there: python $*" >&2
    exit 0
fi

echo "Python $version: python $*"
exec "$environment/bin/python" "$@"
