#!/usr/bin/env bash
# Set up what is missing and run the tests: test/run_tests.sh [--all] [pytest's arguments]
#
# Without --all, tests marked slow are left out. Tests run side by side, one process a core (TESTS_AT_ONCE=1 for one after
# another, as a debugger needs it).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

selection=(-m "not slow")
if [[ ${1:-} == --all ]]; then
    selection=()
    shift
fi
test/set_up.sh

at_once=${TESTS_AT_ONCE:-$(nproc 2>/dev/null || echo 2)}
spread=()
if ((at_once > 1)); then
    # By file, so that what a file's tests share is made once; each process computes on one core.
    spread=(--numprocesses "$at_once" --dist loadfile)
    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
fi
exec .venv/bin/python -m pytest "${selection[@]}" "${spread[@]}" "$@"
