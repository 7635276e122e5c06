"""Puts the shipped model bundles into the wheel.

They lie in `resources/` at the top of the repository, where the container and the challenge's template expect them; in
an installed package they are `cinetrack/resources/`. Everything else about the build is in `pyproject.toml`.
"""

import json
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

RESOURCES = Path(__file__).resolve().parent / "resources"
SHIPPED = ("default", "registration", "static")  # each a folder of RESOURCES with a bundle.json


def bundle_files(name: str) -> list[str]:
    """A shipped bundle's files, relative to RESOURCES: its manifest, what that lists, and its model card."""
    manifest = json.loads((RESOURCES / name / "bundle.json").read_text(encoding="utf-8"))
    files = ["bundle.json", *manifest["files"]]
    if (RESOURCES / name / "README.md").exists():
        files.append("README.md")
    return [f"{name}/{file}" for file in files]


class BuildWithBundles(build_py):
    """`build_py` that also copies the bundles; an editable installation reads them from `resources/` itself."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for source, target in self._bundles().items():
                self.mkpath(str(target.parent))
                self.copy_file(str(source), str(target))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        bundles = [] if self.editable_mode else map(str, self._bundles().values())
        return [*super().get_outputs(include_bytecode), *bundles]

    def get_source_files(self) -> list[str]:
        sources = [str(source.relative_to(Path.cwd())) for source in self._bundles()]
        return [*super().get_source_files(), *sources]

    def _bundles(self) -> dict[Path, Path]:
        built = Path(self.build_lib) / "cinetrack" / "resources"
        return {RESOURCES / file: built / file for name in SHIPPED for file in bundle_files(name)}


setup(cmdclass={"build_py": BuildWithBundles})
