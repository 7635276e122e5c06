"""What only a GPU can show; skipped without one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cinetrack import load_model
from cinetrack.tracking import Chain
from cinetrack.tracking.device import native_precision
from cinetrack.tracking.evidence.sam2.source import Sam2Source

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_masks_on_a_gpu_agree_with_the_cpus(dtype, default_bundle, drifting_series):
    if dtype == torch.bfloat16 and native_precision(torch.device("cuda")) != torch.bfloat16:
        pytest.skip("this GPU has no bfloat16 units")
    frames, masks = drifting_series
    on_cpu = load_model(default_bundle, "cpu").start(frames[0], masks[0])
    sam2 = Sam2Source.load("tracker.yaml", default_bundle / "tracker.pt", default_bundle, torch.device("cuda"), dtype)
    on_gpu = Chain("sam2", (sam2,)).start(frames[0], masks[0])
    for frame in frames[1:]:
        ours, reference = on_gpu.step(frame), on_cpu.step(frame)
        overlap = 2 * (ours.mask & reference.mask).sum() / (ours.mask.sum() + reference.mask.sum())
        assert overlap > (0.999 if dtype == torch.float32 else 0.97)
        assert np.isfinite(ours.logits).all()


def test_the_shipped_bundle_with_its_nnunet_tracks_on_a_gpu_as_on_a_cpu(shipped_bundle, drifting_series):
    frames, masks = drifting_series
    on_cpu, on_gpu = (load_model(shipped_bundle, device).start(frames[0], masks[0]) for device in ("cpu", "cuda"))
    for frame in frames[1:]:
        ours, reference = on_gpu.step(frame), on_cpu.step(frame)
        assert 2 * (ours.mask & reference.mask).sum() / (ours.mask.sum() + reference.mask.sum()) > 0.98
