#!/usr/bin/env bash
# Set up what is missing, lint, and run the tests: test/run_tests.sh [--all] [pytest's arguments]
#
# Without --all, tests marked slow are left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

selection=(-m "not slow")
if [[ ${1:-} == --all ]]; then
    selection=()
    shift
fi
test/set_up.sh
.venv/bin/python -m ruff check .
exec .venv/bin/python -m pytest "${selection[@]}" "$@"
