#!/usr/bin/env bash
# Set up what is missing and build the documentation's site into site/: test/build_docs.sh
#
# A link or an anchor that leads nowhere is an error, and so is a page that the navigation leaves out. The site loads nothing
# from other servers. Look at it with `python3 -m http.server --directory site`; pages also open from disk, without search.
# `.venv/bin/python -m mkdocs serve` shows changes as you write.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
test/set_up.sh
NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict --quiet
echo "the site is in site/" >&2
