#!/usr/bin/env bash
# Make or update the repository's own environment, .venv, with the pinned packages and this library (editable).
#
#   PYTHON=...   the interpreter to make it from; default: the first of python3.11, 3.12, 3.13 and python3 that fits
#
# Quick when nothing changed: a stamp in .venv remembers what it was made from.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

fail() {
    echo "error: $*" >&2
    exit 2
}

fits() { # fits COMMAND : whether it is a Python that the pinned packages are published for
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    if [[ -n ${PYTHON:-} ]]; then
        fits "$PYTHON" || fail "PYTHON: expected Python 3.11 to 3.13, found $PYTHON ($("$PYTHON" --version 2>&1 || true))"
        echo "$PYTHON"
        return
    fi
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3; do
        if fits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "Python: expected 3.11 to 3.13, found $(python3 --version 2>&1 || true); install it or set PYTHON"
}

python=$(find_python)
# The folder counts too: the editable installation names it. So does what that installation reads.
wanted=$({ echo "$root" && "$python" --version && cat requirements*.txt pyproject.toml test/set_up.sh; } | sha256sum)
stamp=.venv/cinetrack-stamp
if [[ -f $stamp && $(<"$stamp") == "$wanted" && -x .venv/bin/python ]]; then
    exit 0
fi

echo "setting up $root/.venv with $("$python" --version): the pinned packages take some 8 GB and a few minutes" >&2
rm -f "$stamp"
# An environment of the same Python is updated in place: pins decide, and the large packages need not come again.
if [[ $(.venv/bin/python --version 2>/dev/null) != $("$python" --version) ]] ||
    ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear .venv ||
        fail "$python: expected a Python with venv and pip; on Debian or Ubuntu: apt-get install python3-venv"
fi
install=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
"${install[@]}" --requirement requirements-torch.txt
# sam2 is published as source and builds against the torch above; its CUDA extension (hole filling) is not used.
SAM2_BUILD_CUDA=0 "${install[@]}" --no-build-isolation --requirement requirements-test.txt
"${install[@]}" --no-deps --no-build-isolation --editable .
.venv/bin/python -m pip check
echo "$wanted" >"$stamp"
