#!/bin/sh
# Installs Autobahn|Testsuite (the `wstest` program) for Python 2.7.
#
#   conformance/install-wstest.sh [DIR]      default DIR: target/wstest of this repository
#
# The last line of standard output is the path of the wstest program. If DIR already contains a finished installation of
# the same versions, the script does nothing else. Environment:
#
#   PY27=/path/to/python2.7    use this interpreter
set -eu

VERSION=25.10.1
VIRTUALENV=20.21.1        # the last series of virtualenv that supports Python 2.7
HERE=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
DIR=${1:-$HERE/../target/wstest}
PIP="-q --disable-pip-version-check"

mkdir -p "$DIR"
DIR=$(CDPATH= cd -- "$DIR" && pwd)
WSTEST=$DIR/py27/bin/wstest
STAMP=$DIR/installed
# A finished installation depends on the pinned versions and on this script.
WANT=$(cat "$HERE/constraints-py27.txt" "$HERE/install-wstest.sh" | cksum)

ready() {
    [ -x "$WSTEST" ] && [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$WANT" ]
}

if ready; then
    echo "$WSTEST"
    exit 0
fi

# Only one installer may write to the folder. A lock whose owner no longer runs is removed.
LOCK=$DIR/lock
n=0
until mkdir "$LOCK" 2>/dev/null; do
    owner=$(cat "$LOCK/pid" 2>/dev/null || true)
    if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
        rm -rf "$LOCK"
        continue
    fi
    n=$((n + 1))
    if [ "$n" -gt 600 ]; then
        echo "install-wstest: $LOCK is held by another installation; remove it if none is running" >&2
        exit 4
    fi
    sleep 1
done
echo $$ > "$LOCK/pid"
trap 'rm -rf "$LOCK"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if ready; then
    echo "$WSTEST"
    exit 0
fi

# A usable interpreter runs, is Python 2.7, and has ssl and zlib. (A pyenv shim can exist and refuse to run.)
works() {
    "$1" -c 'import sys, ssl, zlib; assert sys.version_info[:2] == (2, 7)' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PY27:-}" ]; then
        if works "$PY27"; then
            echo "$PY27"
            return 0
        fi
        echo "install-wstest: PY27=$PY27 is not a working Python 2.7 with ssl and zlib" >&2
        return 1
    fi
    pyenv_root=${PYENV_ROOT:-$(pyenv root 2>/dev/null || echo "${HOME:-/nonexistent}/.pyenv")}
    for candidate in python2.7 python2 \
        "$pyenv_root"/versions/2.7*/bin/python2.7 \
        "${HOME:-/nonexistent}"/.pyenv/versions/2.7*/bin/python2.7 \
        /usr/bin/python2.7 /usr/local/bin/python2.7 /opt/python2.7/bin/python2.7
    do
        path=$(command -v "$candidate" 2>/dev/null || true)
        if [ -n "$path" ] && works "$path"; then
            echo "$path"
            return 0
        fi
    done
    cat >&2 <<MESSAGE
install-wstest: no working Python 2.7 was found, and Autobahn|Testsuite needs it. Either

  * install one (pyenv install 2.7.18, or a distribution package) on PATH, or name it:
        PY27=/path/to/python2.7 $0
  * or use the container image crossbario/autobahn-testsuite:$VERSION:
        conformance/run --wstest docker
MESSAGE
    return 1
}

PYTHON=$(find_python) || exit 3
echo "install-wstest: autobahntestsuite $VERSION with $PYTHON into $DIR" >&2

rm -rf "$DIR/tool" "$DIR/py27" "$STAMP"
python3 -m venv "$DIR/tool"
# shellcheck disable=SC2086
"$DIR/tool/bin/pip" install $PIP "virtualenv==$VIRTUALENV" >&2
"$DIR/tool/bin/virtualenv" -q -p "$PYTHON" "$DIR/py27" >&2
# shellcheck disable=SC2086
PYTHONWARNINGS=ignore "$DIR/py27/bin/python" -W ignore -m pip install $PIP --no-python-version-warning \
    -c "$HERE/constraints-py27.txt" "autobahntestsuite==$VERSION" >&2

# wstest listens on every interface, even if its configuration names a host. Restrict it to loopback, and fail if a
# listener was missed.
PACKAGE=$("$DIR/py27/bin/python" -c 'import imp; print(imp.find_module("autobahntestsuite")[1])')
sed -i.orig -E \
    -e "s/listenWS\((factory|wsfactory), (sslContext|contextFactory)\)/listenWS(\1, \2, interface = '127.0.0.1')/" \
    -e "s/listenWS\((wsperf|wsperfUi)\)/listenWS(\1, interface = '127.0.0.1')/" \
    -e "s/reactor\.listenTCP\(webport, web\)/reactor.listenTCP(webport, web, interface = '127.0.0.1')/" \
    -e "s/reactor\.listenSSL\(webport, web, ([A-Za-z]+)\)/reactor.listenSSL(webport, web, \1, interface = '127.0.0.1')/" \
    -e "s/interface = \"0\.0\.0\.0\"/interface = '127.0.0.1'/" \
    "$PACKAGE"/*.py
rm -f "$PACKAGE"/*.orig "$PACKAGE"/*.pyc
if ! grep -q "interface = '127.0.0.1'" "$PACKAGE/fuzzing.py"; then
    echo "install-wstest: fuzzing.py could not be restricted to loopback" >&2
    exit 5
fi
missed=$(grep -nE '(listenWS|listenTCP|listenSSL)\(' "$PACKAGE"/*.py | grep -v "interface = '127.0.0.1'" || true)
if [ -n "$missed" ]; then
    echo "install-wstest: these listeners are not on loopback:" >&2
    echo "$missed" >&2
    exit 5
fi

"$WSTEST" -a >&2
echo "$WANT" > "$STAMP"
echo "$WSTEST"
