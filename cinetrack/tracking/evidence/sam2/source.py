"""SAM2 as a source: a loaded network, and what it remembers of one target.

Follows `SAM2VideoPredictor.add_new_mask`, `.propagate_in_video_preflight` and `.propagate_in_video`, one frame at a
time and with a bounded memory.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np
import torch
from sam2.modeling.sam2_base import SAM2Base

from cinetrack.tracking.evidence.sam2.architecture import build_network, load_weights_into, read_weights
from cinetrack.tracking.evidence.sam2.image_transform import (
    frame_to_tensor,
    logits_to_frame,
    mask_to_tensor,
    points_to_tensors,
)
from cinetrack.tracking.evidence.sam2.memory_bank import MemoryBank
from cinetrack.tracking.evidence.source import Evidence, TargetEvidence
from cinetrack.tracking.finite import finite_answer
from cinetrack.tracking.prompts import MaskPrompt, Prompt
from cinetrack.tracking.view import View

# A stream's length is not known; any length of at least max_obj_ptrs_in_encoder (16) gives the same arithmetic.
UNKNOWN_LENGTH = 2**31

# SAM2VideoPredictor clamps the logits that it feeds back beside new clicks.
FED_BACK_LOGIT_LIMIT = 32.0

Features = tuple[list[torch.Tensor], list[torch.Tensor], list[tuple[int, int]]]  # with their positions and sizes
Tracked = tuple[dict[str, Any], float]  # SAM2's output, and the decoder's estimate of the mask's overlap


class Sam2Source:
    """SAM2 with its weights on a device."""

    name = "sam2"
    limit = 8.0
    decodes = True
    remembers = True

    def __init__(
        self,
        network: SAM2Base,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        region_px: int | None = None,
        weight: float = 1.0,
        num_frames: int = UNKNOWN_LENGTH,
        origin: Path | str = "SAM2's weights",
    ) -> None:
        """
        Args:
            dtype: float32, or the type of autocast on a GPU.
            region_px, weight: as in `Source`.
            num_frames: of the sequence; below 16 stock SAM2 keeps fewer object pointers, for comparisons with it.
            origin: where the weights came from, to be named where they do not work.
        """
        self.network = network.to(device).eval().requires_grad_(False)
        self.device = device
        self.dtype = dtype
        self.precision = str(dtype).removeprefix("torch.")
        self.region_px, self.weight, self.num_frames, self.origin = region_px, weight, num_frames, origin

    @classmethod
    def load(
        cls,
        config: str,
        checkpoint: Path,
        folder: Path,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        **options: Any,
    ) -> Sam2Source:
        """Build the configured network and load its weights, without executing code from either file.

        Args:
            config: file name of one of sam2's own SAM2.1 configurations, or of a yaml inside `folder`.
            checkpoint: Meta's file, or one that SAM2's trainer wrote (weights under "model").
            options: region_px, weight, num_frames.
        Raises:
            BundleError: names the file, what was expected and what was found.
        """
        weights = read_weights(checkpoint)
        network = build_network(config, folder, weights)
        load_weights_into(network, weights, checkpoint)
        return cls(network, device, dtype, origin=checkpoint, **options)

    def target(self) -> TargetEvidence:
        """An empty memory for one more target."""
        return Sam2Target(self)

    def autocast(self, in_float32: bool = False) -> AbstractContextManager[Any]:
        """The context in which the network runs."""
        if in_float32 or self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def features(self, view: View, in_float32: bool = False) -> Features:
        """The image encoder's features of a view, worked out once for each of its targets together."""
        return view.derived((self, in_float32), lambda pixels: self._embed(pixels, in_float32))

    def finite(self, work_out: Callable[[bool], Tracked]) -> Tracked:
        """What the network gives, in float32 where its own precision does not reach. Raises BundleError where neither
        gives finite numbers."""
        return finite_answer(work_out, _numbers_of, self.dtype != torch.float32, "SAM2 tracker", self.origin)

    def _embed(self, pixels: np.ndarray, in_float32: bool) -> Features:
        image = frame_to_tensor(pixels, self.network.image_size, self.device)
        with self.autocast(in_float32):
            _, features, positions, sizes = self.network._prepare_backbone_features(self.network.forward_image(image))
        return features, positions, sizes


class Sam2Target:
    """A memory bank, and the latest frame's logits, which are fed back beside clicks."""

    def __init__(self, source: Sam2Source) -> None:
        self._source = source
        self._bank = MemoryBank(source.network)
        self._low_res_logits: torch.Tensor | None = None

    @torch.inference_mode()
    def prompt(self, view: View, prompt: Prompt) -> Evidence | None:
        """The view joins the target's prompted frames for good.

        As with stock SAM2's `add_all_frames_to_correct_as_cond`: clicks and boxes are decoded together with the
        memory and the mask found so far; a mask is taken as it is.
        """
        first = self._low_res_logits is None or self._bank.is_only_prompted_frame(view.index)
        if not first:
            self._bank.forget(view.index)  # a frame must not attend to what an earlier correction made of itself
        network, device = self._source.network, self._source.device
        inputs: dict[str, Any] = {}
        if isinstance(prompt, MaskPrompt):
            inputs["mask_inputs"] = mask_to_tensor(prompt.mask, network.image_size, device)
        else:
            inputs["point_inputs"] = points_to_tensors(prompt, view.shape, network.image_size, device)
            if self._low_res_logits is not None:
                limit = FED_BACK_LOGIT_LIMIT
                inputs["prev_sam_mask_logits"] = self._low_res_logits.clamp(-limit, limit)

        def decode(in_float32: bool) -> Tracked:
            output, iou = self._track(view, in_float32, run_mem_encoder=False, is_init_cond_frame=first, **inputs)
            # Stock encodes a prompted frame's memory from the low-resolution logits, once all prompts are in.
            features, _, sizes = self._source.features(view, in_float32)
            with self._source.autocast(in_float32):
                high_res = torch.nn.functional.interpolate(
                    output["pred_masks"], size=(network.image_size,) * 2, mode="bilinear", align_corners=False
                )
                output["maskmem_features"], output["maskmem_pos_enc"] = network._encode_new_memory(
                    current_vision_feats=features,
                    feat_sizes=sizes,
                    pred_masks_high_res=high_res,
                    object_score_logits=output["object_score_logits"],
                    is_mask_from_pts=True,
                )
            return output, iou

        output, iou = self._source.finite(decode)
        self._bank.remember_prompted(view.index, output)
        return self._evidence(view, output, iou)

    @torch.inference_mode()
    def log_odds(self, view: View) -> Evidence | None:
        """Track the target on the next frame, and remember it."""
        output, iou = self._source.finite(lambda in_float32: self._track(view, in_float32, run_mem_encoder=True))
        self._bank.remember(view.index, output)
        return self._evidence(view, output, iou)

    def copy(self) -> Sam2Target:
        """One with the same memories, which nothing changes in place."""
        twin = Sam2Target(self._source)
        twin._bank, twin._low_res_logits = self._bank.copy(), self._low_res_logits
        return twin

    def _track(
        self,
        view: View,
        in_float32: bool,
        run_mem_encoder: bool,
        is_init_cond_frame: bool = False,
        point_inputs: dict[str, torch.Tensor] | None = None,
        mask_inputs: torch.Tensor | None = None,
        prev_sam_mask_logits: torch.Tensor | None = None,
    ) -> Tracked:
        network, memories = self._source.network, self._bank.output_dict
        if in_float32:
            memories = _in_float32(memories)
            prev_sam_mask_logits = None if prev_sam_mask_logits is None else prev_sam_mask_logits.float()
        features, positions, sizes = self._source.features(view, in_float32)
        with self._source.autocast(in_float32), _PredictedIou(network) as predicted_iou:
            output = network.track_step(
                frame_idx=view.index,
                is_init_cond_frame=is_init_cond_frame,
                current_vision_feats=features,
                current_vision_pos_embeds=positions,
                feat_sizes=sizes,
                point_inputs=point_inputs,
                mask_inputs=mask_inputs,
                output_dict=memories,
                num_frames=self._source.num_frames,
                run_mem_encoder=run_mem_encoder,
                prev_sam_mask_logits=prev_sam_mask_logits,
            )
        taken_as_is = mask_inputs is not None and network.use_mask_input_as_output_without_sam
        return output, 1.0 if taken_as_is else predicted_iou.value

    def _evidence(self, view: View, output: dict[str, Any], iou: float) -> Evidence:
        self._low_res_logits = output["pred_masks"]
        logits = logits_to_frame(output["pred_masks"], view.shape)
        return Evidence(logits, float(output["object_score_logits"][0, 0]), iou)


def _numbers_of(tracked: Tracked) -> list[torch.Tensor]:
    """What has to be finite: masks and scores of this frame, and what later ones will remember of it."""
    output, iou = tracked
    names = ("pred_masks", "object_score_logits", "obj_ptr", "maskmem_features")
    found = [output[name] for name in names if output.get(name) is not None]
    return [*found, torch.tensor(iou, device=found[0].device)]


def _in_float32(memories: Any) -> Any:
    """A memory bank's tensors as float32."""
    if isinstance(memories, torch.Tensor):
        return memories.float()
    if isinstance(memories, dict):
        return {key: _in_float32(value) for key, value in memories.items()}
    return [_in_float32(value) for value in memories] if isinstance(memories, (list, tuple)) else memories


class _PredictedIou:
    """Catches the mask decoder's IoU estimate, which `SAM2Base.track_step` computes and does not return."""

    def __init__(self, network: SAM2Base) -> None:
        self._network = network
        self._thread = get_ident()
        self.value = float("nan")

    def __enter__(self) -> _PredictedIou:
        self._handle = self._network.sam_mask_decoder.register_forward_hook(self._keep)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def _keep(self, _module: torch.nn.Module, _inputs: Any, outputs: Any) -> None:
        if get_ident() != self._thread:  # another session's, which runs the same network beside this one
            return
        # (masks, ious (1, M), tokens, object scores); of several masks SAM2 takes the one with the greatest estimate.
        self.value = float(outputs[1].float().max())
