"""Configurations from elsewhere: usual ones are read, those that would unfold or nest without end are refused."""

from __future__ import annotations

import tracemalloc
from importlib.resources import files
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from cinetrack.bundle.model_yaml import read_model_yaml
from cinetrack.cli.main import main
from cinetrack.errors import BundleError

MINI = Path(__file__).resolve().parents[2] / "resources" / "training" / "sam2-mini"
LEVELS = 30


def multiplied(first: str, item: str) -> str:
    """Thirty anchors, each ten times the one before."""
    return "".join(
        f"a{n}: &a{n} {item.format(', '.join([f'*a{n - 1}'] * 10)) if n else first}\n" for n in range(LEVELS)
    )


BOMBS = {
    "lists": multiplied("[x]", "[{}]"),
    "mappings": "".join(
        f"a{n}: &a{n} {{{', '.join(f'k{k}: *a{n - 1}' for k in range(10)) if n else 'x: 1'}}}\n" for n in range(LEVELS)
    ),
    "merged keys": multiplied("{x: 1}", "{{<<: [{}]}}"),
    "references": "a0: xxxxxxxxxx\n" + "".join(f'a{n}: "{f"${{a{n - 1}}}" * 10}"\n' for n in range(1, LEVELS)),
    "references to mappings": "a0: {x: 1}\n"
    + "".join(f'a{n}: {{x: "${{a{n - 1}}}", y: "${{a{n - 1}}}"}}\n' for n in range(1, 60)),
    "itself": "model: &m {a: *m}",
    "itself in a list": "model: &m [1, [*m]]",
    "itself by reference": "model: ${model}",
    "deep mappings": "model: " + "{a: " * 3000 + "1" + "}" * 3000,
    "deep lists": "model: " + "[" * 100_000,
    "deep by indentation": "".join(" " * n + "a:\n" for n in range(1000)),
    "deep keys": "? " * 50_000 + "a",
    "many values": "model: [" + "1," * 20_000 + "]",
    "long": "model: " + "x" * 2_000_000,
    "long number": "model: {image_size: " + "9" * 3000 + "}",
    "longer number": "model: {image_size: " + "9" * 300_000 + "}",
    "hexadecimal number": "model: {image_size: 0x" + "F" * 3000 + "}",
    "number by sixties": "model: {image_size: 1" + ":59" * 300_000 + "}",
    "infinite number": "model: {image_size: .inf}",
    "no number": "model: {image_size: .nan}",
    "a call": "model: ${oc.env:HOME}",
    "an object": "model: !!python/object/apply:os.system [true]",
    "no keys": "- 1\n- 2\n",
    "bytes": "\x00\x01",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_what_would_unfold_or_nest_without_end_is_refused_at_once_by_name(kind, tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_text(BOMBS[kind])
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match=r"odd\.yaml: expected"):
            read_model_yaml(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000_000


@pytest.mark.parametrize("kind", ["deep mappings", "itself", "lists"])
def test_the_command_says_so_in_one_line(kind, tmp_path, capsys):
    path = tmp_path / "odd.yaml"
    path.write_text(BOMBS[kind])
    words = ["--tracker", str(MINI / "tracker.pt"), "--tracker-config", str(path), "-o", str(tmp_path / "new")]
    assert main(["bundle", "create", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}: expected yaml")


@pytest.mark.parametrize("name", ["t", "s", "b+", "l"])
def test_sam2s_own_configurations_are_read_as_omegaconf_reads_them(name):
    path = Path(str(files("sam2"))) / "configs" / "sam2.1" / f"sam2.1_hiera_{name}.yaml"
    assert read_model_yaml(path) == OmegaConf.load(path)


def test_anchors_references_and_a_byte_order_mark_of_a_usual_file_are_read(tmp_path):
    path = tmp_path / "usual.yaml"
    text = "size: 64\nshared: &s {a: 1, b: [1.5, 2e-1]}\nmodel: {one: *s, two: {<<: *s, a: '${size}'}}\n"
    path.write_text("\ufeff" + text, encoding="utf-8")
    expected = {"one": {"a": 1, "b": [1.5, 0.2]}, "two": {"a": 64, "b": [1.5, 0.2]}}
    assert OmegaConf.to_container(read_model_yaml(path))["model"] == expected
