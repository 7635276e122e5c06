"""What `import cinetrack` offers, and that asking for it costs nothing before it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cinetrack

PACKAGE = Path(cinetrack.__file__).resolve().parent


@pytest.mark.parametrize("name", [name for name in cinetrack.__all__ if name != "__version__"])
def test_a_public_name_is_there_and_says_what_it_is(name):
    assert getattr(cinetrack, name).__doc__


def test_type_checkers_see_the_same_names_from_the_same_modules():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname: node.module for node in block.body for alias in node.names}
    assert seen == cinetrack._MODULES
    assert (PACKAGE / "py.typed").exists()


def test_importing_the_package_loads_no_heavy_library():
    code = "import sys, cinetrack; cinetrack.InputError; print({'torch', 'numpy', 'cv2'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert result.stdout.strip() == "set()", result.stderr


def test_a_wrong_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'load_trakcer'"):
        cinetrack.load_trakcer  # noqa: B018
