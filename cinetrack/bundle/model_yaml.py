"""Read the yaml files that come with a model, within bounds: they come from somebody else.

A file of a few kilobytes may nest thousands of levels, refer to itself, or unfold to millions of values where each
anchor stands for many of the one before. Such files, and numbers of thousands of digits, are refused before anything is
built from them.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from cinetrack.bundle.model_json import check_numbers
from cinetrack.errors import BundleError

# SAM2's configurations have 4 KB and 130 values; those of a run list its patients as well.
MOST_BYTES = 1_000_000
MOST_VALUES = 10_000
DEEPEST = 100
LONGEST_TEXT = 4000
_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*(?:\.\w+)*)\}")


def read_model_yaml(path: Path) -> DictConfig:
    """Read a yaml file of keys and values. What refers to another value, as `${key}`, is put in its place.

    Raises:
        FileNotFoundError: there is none.
        BundleError: no yaml of keys, too large or too deep, or a number that is none or out of all proportion; a
            reference to anything but a plain value of the same file.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    if path.stat().st_size > MOST_BYTES:
        raise BundleError(f"{path}: expected yaml of at most {MOST_BYTES} bytes, found {path.stat().st_size}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        check_unfolded_size(path, text)
        content = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)))
    except BundleError:
        raise
    except Exception as error:  # the parsers raise many kinds, also plain ones of Python's
        reason = " ".join(str(error).split())[:200]
        raise BundleError(f"{path}: expected a yaml, found something else ({reason})") from None
    if not isinstance(content, dict):
        raise BundleError(f"{path}: expected a yaml of keys and values, found {type(content).__name__}")
    content = _with_references(path, content, content)
    check_numbers(path, content, finite=True)
    created = OmegaConf.create(content)
    assert isinstance(created, DictConfig)
    return created


def check_unfolded_size(path: Path, text: str) -> None:
    """Count values as they will be when every alias has become what it stands for, from the parser's events alone.

    Raises:
        BundleError: `text`, of the file at `path`, would unfold or nest beyond all use.
        yaml.YAMLError: it is no yaml.
    """
    sizes: dict[str, int] = {}  # of the anchors whose node has ended
    count, open_nodes = 0, []  # of those not ended: anchor and count before
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise BundleError(
                    f"{path}: expected yaml that does not refer to itself, found *{event.anchor} within it"
                )
            count += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            count += 1
            if len(event.value) > LONGEST_TEXT:
                raise BundleError(f"{path}: expected values of at most {LONGEST_TEXT} characters, found one of more")
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            count += 1
            open_nodes.append((event.anchor, count - 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = count - before
        if len(open_nodes) > DEEPEST:
            raise BundleError(f"{path}: expected yaml of at most {DEEPEST} levels, found more")
        if count > MOST_VALUES:
            raise BundleError(f"{path}: expected yaml of at most {MOST_VALUES} values, found more")


def _with_references(path: Path, node: Any, document: dict[Any, Any]) -> Any:
    if isinstance(node, dict):
        return {key: _with_references(path, value, document) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_references(path, value, document) for value in node]
    if not (isinstance(node, str) and "${" in node):
        return node
    match = _REFERENCE.fullmatch(node)
    found: Any = document
    for key in match[1].split(".") if match else ():
        found = found.get(key) if isinstance(found, dict) else None
    if found is None or isinstance(found, (dict, list)) or (isinstance(found, str) and "${" in found) or not match:
        raise BundleError(f"{path}: expected references to plain values of the file, as ${{key}}, found {node[:60]}")
    return found
