"""The platform's one job: read /input, track, write /output, and say on stdout what was done."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import perf_counter

from cinetrack.bundle.lookup import DEFAULT_FOLDER, find_bundle
from cinetrack.bundle.manifest import has_published_weights
from cinetrack.pipeline.model import load_model
from cinetrack.pipeline.track_case import track_whole
from cinetrack.runs.outputs import check_output_folder, find_temporary_folder
from cinetrack.runs.record import Seconds, peak_memory_mb
from cinetrack.sequence.grand_challenge import OUTPUT_FILE, read_input_folder, write_output

SUPPLY_YOUR_OWN = (
    "to run SAM2.1-Small instead: resources/fetch_sam2.sh, then `cinetrack bundle create --tracker "
    "sam2.1_hiera_small.pt -o my-bundle`, and pass it with --model, mount it at /opt/ml/model or upload it as the model"
)


def run(input_folder: Path, output_folder: Path, model_folder: Path | None = None, device: str = "auto") -> int:
    """Track the case in `input_folder`; returns 0. Nothing is written unless everything before it went well.

    Raises:
        InputError: the case, the bundle or the device is unusable.
    """
    began = perf_counter()
    # All is checked before anything slow: a bad case should not wait for the weights.
    check_output_folder(output_folder)
    find_temporary_folder(instead=output_folder)
    (output_folder / OUTPUT_FILE).unlink(missing_ok=True)  # an earlier case's masks must not pass for this one's
    bundle = find_bundle(model_folder)
    loaded = read_input_folder(input_folder)
    sequence = loaded.case.sequence
    rows, columns = sequence.frame_shape
    _say(
        "case",
        f"{loaded.case.case_id}: {len(sequence)} frames of {rows} x {columns} px, "
        f"{sequence.spacing_mm[0]:g} x {sequence.spacing_mm[1]:g} mm, {sequence.frame_rate_hz:g} Hz, "
        f"{sequence.field_strength_t:g} T, {sequence.region}",
    )
    model = load_model(bundle, device)
    _say("bundle", f"{bundle.description}, from {bundle.folder}")
    if bundle.folder.resolve() == DEFAULT_FOLDER and not has_published_weights(bundle):
        _say("hint", SUPPLY_YOUR_OWN)
    _say("device", _device_name(model.device))
    _say("precision", model.chain.precision)
    loading_s = perf_counter() - began
    tracked = track_whole(loaded.case, model.chain)
    began = perf_counter()
    path = write_output(output_folder, tracked.masks, loaded.geometry)
    seconds = Seconds(loading_s, tracked.stage_seconds, perf_counter() - began)
    _say("loading", f"{seconds.loading:.2f} s")
    for stage, spent in seconds.stages.items():
        _say(stage, f"{spent:.2f} s")
    _say("writing", f"{seconds.writing:.2f} s")
    _say("per frame", f"{sum(seconds.stages.values()) / len(sequence):.4f} s")
    _say("peak memory", _peak_memory(model.device))
    _say("output", str(path))
    return 0


def _say(what: str, value: str) -> None:
    print(f"{what + ':':<12} {value}", flush=True)


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({len(os.sched_getaffinity(0)) if sys.platform == 'linux' else os.cpu_count()} cores)"


def _peak_memory(device: str) -> str:
    text = f"{peak_memory_mb():.0f} MB"
    if device.startswith("cuda"):
        import torch

        text += f", on the GPU {torch.cuda.max_memory_allocated(device) / 1e6:.0f} MB"
    return text
