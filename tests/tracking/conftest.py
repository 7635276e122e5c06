"""A 24-frame series with a textured moving target, and SAM2 models small enough for a test."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from scipy import ndimage

from cinetrack.sequence.intensity import min_max_8bit

DEFAULT_BUNDLE = Path(__file__).resolve().parents[2] / "resources" / "default"


@pytest.fixture(scope="session")
def drifting_series() -> tuple[np.ndarray, np.ndarray]:
    """(24, 96, 80) uint8 frames, each already spanning 0..255, of tissue that drifts, and the target's masks."""
    rng = np.random.default_rng(3)
    tissue = ndimage.gaussian_filter(rng.normal(size=(160, 140)), 3)
    rows, columns = np.mgrid[:160, :140]
    target = np.hypot((rows - 80) / 1.4, columns - 68) < 12
    tissue = tissue / tissue.std() + 2.5 * ndimage.gaussian_filter(target.astype(float), 1)
    frames, masks = [], []
    for t in range(24):
        top, left = 32 + round(8 * np.sin(t / 3)), 28 + round(4 * np.sin(t / 3 + 0.5))
        window = np.s_[top : top + 96, left : left + 80]
        frames.append(min_max_8bit(tissue[window] + rng.normal(0, 0.15, (96, 80))))
        masks.append(target[window])
    return np.stack(frames), np.stack(masks)


@pytest.fixture(scope="session")
def multimask_bundle(tmp_path_factory) -> Path:
    """The default bundle's network with sam2's published inference options switched on, and a weight for each mask.

    Exercises what the shipped yaml leaves off: multimask output, dynamic fall-back, binarised memories.
    """
    folder = tmp_path_factory.mktemp("multimask")
    document = OmegaConf.load(DEFAULT_BUNDLE / "tracker.yaml")
    document.model.update(
        {
            "multimask_output_in_sam": True,
            "multimask_output_for_tracking": True,
            "binarize_mask_from_pts_for_mem_enc": True,
            "sam_mask_decoder_extra_args": {
                "dynamic_multimask_via_stability": True,
                "dynamic_multimask_stability_delta": 0.05,
                "dynamic_multimask_stability_thresh": 0.98,
            },
        }
    )
    OmegaConf.save(document, folder / "tracker.yaml")
    weights = torch.load(DEFAULT_BUNDLE / "tracker.pt", weights_only=True)["model"]
    generator = torch.Generator().manual_seed(5)
    for name in list(weights):
        if name.startswith("sam_mask_decoder.output_hypernetworks_mlps.0."):
            for mask in "123":  # the trained mask head for every mask token, each a little different
                noise = 1 + 0.05 * torch.randn(weights[name].shape, generator=generator)
                weights[name.replace("mlps.0", f"mlps.{mask}")] = weights[name].float() * noise
    tokens = weights["sam_mask_decoder.mask_tokens.weight"].float()
    weights["sam_mask_decoder.mask_tokens.weight"] = tokens[:1].repeat(4, 1)
    torch.save({"model": weights}, folder / "tracker.pt")
    return folder


@pytest.fixture(scope="session")
def shipped_bundle() -> Path:
    """The default bundle as it is: stabilised frames, and the outline, SAM2 and nnU-Net as sources."""
    return DEFAULT_BUNDLE


@pytest.fixture(scope="session")
def default_bundle(tmp_path_factory) -> Path:
    """The default bundle's SAM2 alone, on whole frames as they are, as stock SAM2 tracks."""
    folder = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path_factory.mktemp("bundles") / "default"))
    manifest = json.loads((folder / "bundle.json").read_text())
    [sam2] = [source for source in manifest["sources"] if source["kind"] == "sam2"]
    sam2.pop("region_px")
    manifest |= {"stabilisation": None, "sources": [sam2]}
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder
