#!/usr/bin/env bash
# Set up what is missing; check style, formatting and types: test/lint.sh [--fix]
#
# With --fix, what ruff can mend is mended and files are formatted before they are checked.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
test/set_up.sh

python=.venv/bin/python
if [[ ${1:-} == --fix ]]; then
    $python -m ruff check --quiet --fix . || true
    $python -m ruff format --quiet .
fi
$python -m ruff check .
$python -m ruff format --check .
$python -m mypy
