"""Write the three requirements files from the versions installed in the running environment.

To move the pins: install the wanted versions into `.venv`, let the tests pass, then run
`.venv/bin/python test/lock_requirements.py` and commit the files. What is locked is what pyproject.toml asks for and
everything those packages ask for in turn:

    requirements-torch.txt  pip's own tools, torch and torchvision: installed first, a container layer of its own
    requirements.txt        all that the library needs at run time; sam2 is source only and builds against that torch
    requirements-test.txt   what the extras add: labelling app, training and tests are not in the container
"""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parent.parent
FIRST = ["pip", "setuptools", "wheel", "torch", "torchvision"]
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
ELSEWHERE = {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"}


def closure(wanted: list[str], platform: dict[str, str]) -> set[str]:
    """Canonical names of the packages that `wanted` (requirement strings) need on `platform`, directly or not.

    Raises:
        SystemExit: one of them is not installed here, or in a version that is not asked for.
    """
    environment = default_environment() | platform
    found: set[str] = set()
    pending = [(Requirement(text), "") for text in wanted]
    visited: set[tuple[str, str]] = set()
    while pending:
        requirement, extra = pending.pop()
        if requirement.marker and not requirement.marker.evaluate(environment | {"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        found.add(name)
        installed = installed_distribution(name)
        if not requirement.specifier.contains(installed.version, prereleases=True):
            sys.exit(f"{name}: expected {requirement.specifier}, found {installed.version}; see `pip check`")
        for wanted_extra in {"", *requirement.extras}:
            if (name, wanted_extra) not in visited:
                visited.add((name, wanted_extra))
                pending.extend((Requirement(text), wanted_extra) for text in installed.requires or [])
    return found


def installed_distribution(name: str):
    """The distribution installed under `name`; exits with a readable line where there is none."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        sys.exit(f"{name}: expected it to be installed in {sys.prefix}, found none")


def pins(names: set[str], everywhere: set[str]) -> str:
    """One `name==version` line a package; those that only Linux needs carry the marker that says so."""
    lines = []
    for name in sorted(names):
        version = installed_distribution(name).version.split("+")[0]  # a CPU build's +cpu is no other version
        marker = "" if name in everywhere else ' ; sys_platform == "linux" and platform_machine == "x86_64"'
        lines.append(f"{name}=={version}{marker}\n")
    return "".join(lines)


def main() -> None:
    """Write the files beside pyproject.toml."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runtime = [*FIRST, *project["dependencies"]]
    test = [*runtime, *(text for wanted in project["optional-dependencies"].values() for text in wanted)]
    everywhere = closure(test, ELSEWHERE)
    header = "# Written by test/lock_requirements.py for Python 3.11 and later; its first lines say how to renew it.\n"
    locked: set[str] = set()
    include = ""
    for name, wanted in (("-torch", FIRST), ("", runtime), ("-test", test)):
        path = REPOSITORY / f"requirements{name}.txt"
        needed = closure(wanted, LINUX)
        path.write_text(header + include + pins(needed - locked, everywhere), encoding="utf-8")
        locked |= needed
        include = f"-r {path.name}\n"


if __name__ == "__main__":
    main()
