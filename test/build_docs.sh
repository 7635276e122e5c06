#!/usr/bin/env bash
# Set up what is missing and build the documentation's site into site/: test/build_docs.sh
#
# A link or an anchor that leads nowhere is an error, and so is a page that the navigation leaves out. Open
# site/index.html, or see changes as you write with `.venv/bin/python -m mkdocs serve`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
test/set_up.sh
NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict --quiet
echo "the site is in site/" >&2
