"""bundle.json: verified, understood, or refused with the reason."""

from __future__ import annotations

import os
import errno
import json
import shutil
from pathlib import Path

import pytest
import torch

from cinetrack import load_model
from cinetrack.bundle import find_bundle, lookup, open_bundle
from cinetrack.bundle.assembly import create_bundle
from cinetrack.bundle.manifest import manifest_of
from cinetrack.cli.main import main
from cinetrack.errors import BundleError, InputError
from cinetrack.tracking.evidence.outline import OutlineSettings
from cinetrack.tracking.evidence.sam2.source import Sam2Source
from cinetrack.tracking.stabilisation import Stabiliser, Unstabilised

RESOURCES = Path(__file__).resolve().parents[2] / "resources"


@pytest.fixture
def bundle(tmp_path) -> Path:
    return Path(shutil.copytree(RESOURCES / "default", tmp_path / "bundle"))


def edit(bundle: Path, change) -> None:
    document = json.loads((bundle / "bundle.json").read_text())
    change(document)
    (bundle / "bundle.json").write_text(json.dumps(document))


def stage(document, kind: str) -> dict:
    return next(stage for stage in [*document["sources"], *document["postprocessing"]] if stage["kind"] == kind)


@pytest.mark.parametrize(
    ("name", "sources", "stabilised"),
    [
        ("default", ["outline", "sam2", "nnunet"], True),
        ("registration", ["outline"], True),
        ("static", ["outline"], False),
    ],
)
def test_every_shipped_bundle_opens(name, sources, stabilised):
    method = open_bundle(RESOURCES / name).method
    assert [source.kind for source in method.sources] == sources
    assert (method.stabilisation is not None) == stabilised
    assert [step.kind for step in method.postprocessing] == ["fill_holes"]
    assert method.name == {"default": "sam2"}.get(name, name)


@pytest.mark.parametrize("name", ["default", "registration", "static"])
def test_a_manifest_is_written_as_it_was_read(name):
    path = RESOURCES / name / "bundle.json"
    bundle = open_bundle(path.parent)
    files = json.loads(path.read_text())["files"]
    assert manifest_of(bundle.name, bundle.method, files, bundle.box_segmenter) == path.read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(surprise=1), "found surprise"),
        (lambda d: d.pop("sources"), "found no sources"),
        (lambda d: d.update(format=3), "bundle.json: format: expected 2, or none in an older manifest, found 3"),
        (lambda d: (d.update(format="2"), d.pop("sources")), "format: expected 2.*found '2'"),
        (lambda d: d.pop("format"), "expected only the keys|expected the keys name, tracker, refiner, files"),
        (lambda d: d.update(name=""), "name"),
        (lambda d: d.update(sources=[]), "sources: expected at least one, found none"),
        (lambda d: d.update(sources={}), "sources: expected a list of stages"),
        (lambda d: d.update(sources=["outline"]), r"sources\[0\].kind: expected one of .*outline.*found None"),
        (lambda d: d["sources"].append({"kind": "outline"}), "expected one outline at most, found 2"),
        (lambda d: d.update(stabilisation=None), "expected nnunet with stabilisation only, found it on frames as"),
        (lambda d: d.update(sources=[stage(d, "nnunet")]), "expected an outline or SAM2 beside nnunet"),
        (lambda d: d.update(stabilisation=True), "stabilisation: expected an object"),
        (lambda d: d.update(stabilisation={"flows": []}), "flows: expected one of smooth, flexible"),
        (lambda d: d.update(stabilisation={"flows": ["rigid"]}), r"flows: expected one of smooth, .*\('rigid',\)"),
        (lambda d: d.update(stabilisation={"flow": "smooth"}), "only the keys flows, found flow"),
        (lambda d: stage(d, "sam2").update(kind="magic"), r"sources\[1\].kind: expected one of .*sam2.*'magic'"),
        (lambda d: stage(d, "sam2").update(kind=["sam2"]), r"sources\[1\].kind"),
        (lambda d: stage(d, "sam2").update(speed=9), r"sources\[1\]: expected only the keys .*found speed"),
        (lambda d: stage(d, "sam2").pop("checkpoint"), r"sources\[1\]: expected the keys .*found no checkpoint"),
        (lambda d: stage(d, "sam2").update(checkpoint="../tracker.pt"), "inside the bundle"),
        (lambda d: stage(d, "sam2").update(config="/etc/passwd"), "inside the bundle"),
        (lambda d: stage(d, "sam2").update(checkpoint="a" * 300), "usual length"),
        (lambda d: stage(d, "sam2").update(config=7), r"sources\[1\].config: expected a name, found 7"),
        (
            lambda d: stage(d, "sam2").update(region_px=9),
            r"region_px: expected a whole number, 64 or more \(px\), found 9",
        ),
        (lambda d: stage(d, "sam2").update(region_px=224.5), r"sources\[1\].region_px"),
        (lambda d: stage(d, "outline").update(weight="4"), r"sources\[0\].weight: expected a number, above 0"),
        (lambda d: stage(d, "outline").update(weight=-1), r"sources\[0\].weight: expected a number, above 0"),
        (lambda d: stage(d, "outline").update(weight=True), r"sources\[0\].weight"),
        (lambda d: stage(d, "outline").update(weight=10**400), "numbers of a usual size"),
        (lambda d: d["files"].pop("tracker.pt"), "sha256 for tracker.pt"),
        (lambda d: d["files"].update({"tracker.pt": "abc"}), "64 hexadecimal"),
        (lambda d: d["files"].update({"gone.bin": "0" * 64}), "gone.bin.*found none"),
        (lambda d: d["files"].update({"tracker.pt": "0" * 64}), "tracker.pt: expected sha256 0000"),
        (lambda d: d.update(files=[]), "files: expected {relative path: sha256}"),
        (lambda d: stage(d, "nnunet").update(wings=2), "wings"),
        (lambda d: stage(d, "nnunet").update(window=0), r"sources\[2\].window: expected a whole number, 1 or more"),
        (lambda d: stage(d, "nnunet").update(window=1), r"sources\[2\].window: expected 2 frames or more"),
        (lambda d: stage(d, "nnunet").update(tile_step_size=1.5), "tile_step_size: .*above 0 and at most 1.*found 1.5"),
        (lambda d: stage(d, "nnunet").update(mirroring="yes"), "mirroring: expected true or false, found 'yes'"),
        (lambda d: stage(d, "nnunet").update(folds=["x"]), "fold numbers"),
        (lambda d: stage(d, "nnunet").update(folds=[True]), "folds"),
        (lambda d: stage(d, "nnunet").update(folder="r", folds=[0]), "r/dataset.json"),
        (
            lambda d: d.update(postprocessing=[{"kind": "sam2"}]),
            r"postprocessing\[0\].kind: expected one of .*fill_holes",
        ),
        (lambda d: d.update(postprocessing=[{"kind": "fill_holes", "size": 3}]), r"postprocessing\[0\].*found size"),
        (lambda d: d.update(box_segmenter="snake"), "sam2, grabcut, random_walker, found 'snake'"),
        (lambda d: d.update(box_segmenter=["sam2"]), "box_segmenter"),
        (
            lambda d: d.update(sources=[{"kind": "outline"}], files={}, box_segmenter="sam2"),
            "box_segmenter: expected grabcut or random_walker with registration, found 'sam2'",
        ),
    ],
)
def test_a_manifest_that_cannot_be_trusted_is_refused(bundle, change, message):
    edit(bundle, change)
    with pytest.raises(BundleError, match=message):
        open_bundle(bundle)


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_manifest_that_is_no_json_object_is_refused(bundle, text):
    (bundle / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match="bundle.json"):
        open_bundle(bundle)


@pytest.mark.parametrize(("name", "expected"), [("default", "grabcut"), ("registration", "grabcut")])
def test_a_bundle_without_published_sam2_turns_boxes_into_masks_with_grabcut(name, expected):
    assert open_bundle(RESOURCES / name).segmenter == expected


def test_a_bundle_names_its_box_segmenter(tmp_path):
    created = create_bundle(tmp_path / "walker", "registration", box_segmenter="random_walker")
    assert created.segmenter == open_bundle(tmp_path / "walker").segmenter == "random_walker"
    with pytest.raises(BundleError, match="found 'snake'"):
        create_bundle(tmp_path / "snake", "registration", box_segmenter="snake")


def test_the_command_line_names_the_box_segmenter(tmp_path, capsys):
    arguments = ["bundle", "create", "--tracker", "static", "--box-segmenter"]
    assert main([*arguments, "random_walker", "-o", str(tmp_path / "walker")]) == 0
    assert open_bundle(tmp_path / "walker").segmenter == "random_walker"
    assert main([*arguments, "sam2", "-o", str(tmp_path / "sam2")]) == 2
    assert "with static, found 'sam2'" in capsys.readouterr().err


def test_altered_weights_are_refused(bundle):
    content = bytearray((bundle / "tracker.pt").read_bytes())
    content[1000] ^= 1
    (bundle / "tracker.pt").write_bytes(content)
    with pytest.raises(BundleError, match="tracker.pt: expected sha256"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("model: {_target_: os.system, command: 'touch /tmp/pwned'}", "SAM2Base"),
        ("other: 1", "SAM2 `model`"),
        ("model: [1, 2", "expected a yaml, found something else"),
        ("model: ???", "SAM2 `model`"),
        ("model: {_target_: sam2.modeling.sam2_base.SAM2Base, image_encoder: {_target_: os.getcwd}}", "os.getcwd"),
        (
            "model: {_target_: sam2.modeling.sam2_base.SAM2Base, "
            "image_encoder: {_target_: sam2.modeling.sam2_base.torch.load}}",
            "torch.load",
        ),
        (
            "model: {_target_: sam2.modeling.sam2_base.SAM2Base, _args_: [1]}",
            "hydra option",
        ),
        ("model: {_target_: sam2.modeling.sam2_base.SAM2Base}", "one that fails"),
    ],
)
def test_a_configuration_runs_no_code_but_sam2s_modules(bundle, tmp_path, yaml, message):
    (tmp_path / "evil.yaml").write_text(yaml)
    with pytest.raises(BundleError, match=message):
        create_bundle(tmp_path / "new", str(bundle / "tracker.pt"), tracker_config=str(tmp_path / "evil.yaml"))
    assert not (tmp_path / "new").exists()


def test_weights_of_another_architecture_are_refused_with_the_first_differing_tensors(bundle, tmp_path):
    weights = torch.load(bundle / "tracker.pt", weights_only=True)["model"]
    weights["no_mem_embed"] = torch.zeros(1, 1, 64)
    weights["surplus"] = torch.zeros(1)
    del weights["maskmem_tpos_enc"]
    torch.save({"model": weights}, tmp_path / "w.pt")
    expected = r"without maskmem_tpos_enc.*unknown surplus.*no_mem_embed \(1, 1, 64\) instead of \(1, 1, 128\)"
    with pytest.raises(BundleError, match=expected):
        create_bundle(tmp_path / "new", str(tmp_path / "w.pt"), tracker_config=str(bundle / "tracker.yaml"))


def test_a_checkpoint_of_the_trainers_kind_drops_in(bundle, tmp_path):
    # SAM2's trainer keeps the optimiser and counters beside the weights.
    weights = torch.load(bundle / "tracker.pt", weights_only=True)["model"]
    extra = {
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]},
        "epoch": 3,
        "steps": {"train": 7},
        "loss": None,
    }
    torch.save({"model": weights, **extra}, tmp_path / "checkpoint.pt")
    config = str(bundle / "tracker.yaml")
    create_bundle(tmp_path / "new", str(tmp_path / "checkpoint.pt"), tracker_config=config, name="mine")
    opened = open_bundle(tmp_path / "new")
    assert opened.name == "mine" and load_model(opened, "cpu").chain.name == "sam2"


def sam2_alone(document) -> None:
    sam2 = stage(document, "sam2")
    sam2.pop("region_px")
    document.update(stabilisation=None, sources=[sam2])


def test_a_region_goes_with_the_tracker_into_further_bundles_and_only_with_sam2(bundle, tmp_path, capsys):
    edit(bundle, sam2_alone)
    create_bundle(tmp_path / "new", str(bundle), region_px=96)
    create_bundle(tmp_path / "copy", str(tmp_path / "new"))
    assert open_bundle(tmp_path / "copy").method.sam2.region_px == 96
    chain = load_model(tmp_path / "copy", "cpu").chain
    assert chain.name == "sam2" and chain.sources[0].region_px == 96
    words = ["--tracker", "registration", "--region", "96", "-o", str(tmp_path / "other")]
    assert main(["bundle", "create", *words]) == 2
    assert "region: expected none with registration, found 96" in capsys.readouterr().err


def test_stabilised_frames_go_with_the_tracker_into_further_bundles_and_only_with_sam2(bundle, tmp_path, capsys):
    edit(bundle, sam2_alone)
    words = ["--tracker", str(bundle), "--region", "96", "--stabilise", "--outline-weight", "4"]
    assert main(["bundle", "create", *words, "-o", str(tmp_path / "new")]) == 0
    create_bundle(tmp_path / "copy", str(tmp_path / "new"))
    method = open_bundle(tmp_path / "copy").method
    assert method.stabilisation == Stabiliser() and method.sources[0] == OutlineSettings(4.0)
    chain = load_model(tmp_path / "copy", "cpu").chain
    assert isinstance(chain.stabiliser, Stabiliser)
    assert [(source.name, source.region_px) for source in chain.sources] == [("outline", None), ("sam2", 96)]
    words = ["--tracker", "static", "--stabilise", "-o", str(tmp_path / "other")]
    assert main(["bundle", "create", *words]) == 2
    assert "stabilisation: expected none with static, found it; take registration" in capsys.readouterr().err
    words = ["--tracker", str(bundle), "--outline-weight", "4", "-o", str(tmp_path / "other")]
    assert main(["bundle", "create", *words]) == 2
    assert "outline weight: expected stabilised frames with it, found none (4.0)" in capsys.readouterr().err


def test_without_a_region_whole_frames_are_tracked(bundle, tmp_path):
    edit(bundle, sam2_alone)
    create_bundle(tmp_path / "new", str(bundle))
    assert "region_px" not in (tmp_path / "new/bundle.json").read_text()
    chain = load_model(tmp_path / "new", "cpu").chain
    assert isinstance(chain.sources[0], Sam2Source) and isinstance(chain.stabiliser, Unstabilised)
    assert chain.sources[0].region_px is None


def test_of_a_bundle_whose_tracker_is_taken_nnunet_stays_behind(bundle, tmp_path):
    create_bundle(tmp_path / "new", str(bundle))
    shipped, method = open_bundle(bundle).method, open_bundle(tmp_path / "new").method
    assert method == shipped.tracker() and method.sources == shipped.sources[:2]
    assert method.stabilisation == shipped.stabilisation and not (tmp_path / "new/refiner").exists()


@pytest.mark.slow
def test_metas_published_file_name_is_enough(tmp_path):
    from cinetrack.tracking.evidence.sam2.architecture import build_network

    checkpoint = tmp_path / "sam2.1_hiera_small.pt"
    torch.save({"model": build_network("sam2.1_hiera_s.yaml", tmp_path).state_dict()}, checkpoint)
    create_bundle(tmp_path / "small", str(checkpoint))
    opened = open_bundle(tmp_path / "small")
    assert opened.method.sam2.config == "sam2.1_hiera_s.yaml" and opened.segmenter == "sam2"


def test_an_unknown_checkpoint_name_asks_for_its_configuration(bundle, tmp_path):
    with pytest.raises(InputError, match="--tracker-config"):
        create_bundle(tmp_path / "new", str(bundle / "tracker.pt"))


def test_a_taken_folder_is_left_alone(bundle):
    before = sorted(bundle.iterdir())
    with pytest.raises(InputError, match="new or empty folder"):
        create_bundle(bundle, "static")
    assert sorted(bundle.iterdir()) == before


def test_the_bundle_asked_for_comes_before_the_platforms_and_that_before_the_default(bundle, tmp_path, monkeypatch):
    platform = tmp_path / "model"
    monkeypatch.setattr(lookup, "PLATFORM_FOLDER", platform)
    assert find_bundle().folder == lookup.DEFAULT_FOLDER
    platform.mkdir()
    assert find_bundle().folder == lookup.DEFAULT_FOLDER  # mounted, but holds no bundle
    shutil.copy(RESOURCES / "static/bundle.json", platform)
    assert find_bundle().folder == platform
    assert find_bundle(bundle).folder == bundle
    (platform / "bundle.json").write_text("{")
    with pytest.raises(BundleError):  # a faulty upload must not silently run another model
        find_bundle()


def test_a_full_disk_is_the_new_bundles_not_that_of_the_files_it_copies(tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left on device") as raised:
        create_bundle(tmp_path / "new", "default")
    assert raised.value.filename == str(tmp_path / "new") and not os.listdir(tmp_path)
