"""SAM2 as a tracker: a loaded network, and the sessions that stream frames through it.

Follows `SAM2VideoPredictor.add_new_mask`, `.propagate_in_video_preflight` and `.propagate_in_video`, one frame at a
time and with a bounded memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sam2.modeling.sam2_base import SAM2Base

from cinetrack.tracking.finite import finite_answer
from cinetrack.tracking.protocol import (
    MaskPrompt,
    Prompt,
    StepResult,
    as_prompts,
    check_frame,
    check_prompt,
    check_target,
)
from cinetrack.tracking.sam2.architecture import build_network, load_weights_into, read_weights
from cinetrack.tracking.sam2.image_transform import (
    frame_to_tensor,
    logits_to_frame,
    mask_to_tensor,
    points_to_tensors,
)
from cinetrack.tracking.sam2.memory_bank import MemoryBank

# A stream's length is not known; any length of at least max_obj_ptrs_in_encoder (16) gives the same arithmetic.
UNKNOWN_LENGTH = 2**31

# SAM2VideoPredictor clamps the logits that it feeds back beside new clicks.
FED_BACK_LOGIT_LIMIT = 32.0


Features = tuple[list[torch.Tensor], list[torch.Tensor], list[tuple[int, int]]]  # with their positions and sizes
Tracked = tuple[dict[str, Any], float]  # SAM2's output, and the decoder's estimate of the mask's overlap


class Sam2Tracker:
    """SAM2 with its weights on a device."""

    name = "sam2"

    def __init__(
        self,
        network: SAM2Base,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        source: Path | str = "SAM2's weights",
    ) -> None:
        """`source`: where the weights came from, to be named where they do not work."""
        self.source = source
        self.network = network.to(device).eval().requires_grad_(False)
        self.device = device
        self.dtype = dtype
        self.precision = str(dtype).removeprefix("torch.")

    @classmethod
    def load(
        cls, config: str, checkpoint: Path, folder: Path, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> Sam2Tracker:
        """Build the configured network and load its weights, without executing code from either file.

        Args:
            config: file name of one of sam2's own SAM2.1 configurations, or of a yaml inside `folder`.
            checkpoint: Meta's file, or one that SAM2's trainer wrote (weights under "model").
            dtype: float32, or the type of autocast on a GPU.
        Raises:
            BundleError: names the file, what was expected and what was found.
        """
        weights = read_weights(checkpoint)
        network = build_network(config, folder, weights)
        load_weights_into(network, weights, checkpoint)
        return cls(network, device, dtype, checkpoint)

    def start(
        self, frame: np.ndarray, prompt: np.ndarray | Prompt | Sequence[Prompt], num_frames: int | None = None
    ) -> Sam2Session:
        """Begin a sequence with masks, boxes or points, one prompt a target.

        `num_frames` only matters below 16: stock SAM2 then keeps fewer object pointers.
        """
        return Sam2Session(self, frame, as_prompts(prompt), num_frames or UNKNOWN_LENGTH)

    def autocast(self, in_float32: bool = False) -> AbstractContextManager[Any]:
        """The context in which the network runs."""
        if in_float32 or self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)


class Sam2Session:
    """Implements `TrackingSession`: the latest frame's features, and a memory bank a target."""

    def __init__(self, tracker: Sam2Tracker, frame: np.ndarray, prompts: Sequence[Prompt], num_frames: int) -> None:
        check_frame(frame)
        self._tracker = tracker
        self._shape = frame.shape
        self._num_frames = num_frames
        self._frame_index = 0
        self._frame = frame.copy()  # to be embedded again in float32; the caller may change what it gave
        self._features = self._embed()
        self._banks: list[MemoryBank] = []
        self._low_res_logits: list[torch.Tensor] = []  # of the latest frame, fed back beside clicks
        self.results: list[StepResult] = []
        for prompt in prompts:
            self.add_target(prompt)

    @torch.inference_mode()
    def step(self, frame: np.ndarray) -> StepResult:
        """Embed the frame once, then track every target on it."""
        check_frame(frame, self._shape)
        self._frame_index += 1
        self._frame = frame.copy()
        self._features = self._embed()
        for target, bank in enumerate(self._banks):
            output, iou = self._finite(lambda in_float32: self._track(bank, in_float32, run_mem_encoder=True))
            bank.remember(self._frame_index, output)
            self._low_res_logits[target] = output["pred_masks"]
            self.results[target] = self._result(output, iou)
        return self.results[0]

    @torch.inference_mode()
    def correct(self, prompt: Prompt, target: int = 0) -> StepResult:
        """Prompt a target anew on the latest frame, which joins its prompted frames for good.

        As with stock SAM2's `add_all_frames_to_correct_as_cond`: clicks and boxes are decoded together with the
        memory and the mask found so far; a mask is taken as it is.
        """
        check_target(target, len(self.results))
        check_prompt(prompt, self._shape)
        bank = self._banks[target]
        first = bank.is_only_prompted_frame(self._frame_index)
        if not first:
            bank.forget(self._frame_index)  # a frame must not attend to what an earlier correction made of itself
        fed_back = self._low_res_logits[target].clamp(-FED_BACK_LOGIT_LIMIT, FED_BACK_LOGIT_LIMIT)
        self._low_res_logits[target], self.results[target] = self._prompted(bank, prompt, first, fed_back)
        return self.results[target]

    @torch.inference_mode()
    def add_target(self, prompt: Prompt) -> StepResult:
        """One more target, whose first frame is the latest one."""
        check_prompt(prompt, self._shape)
        bank = MemoryBank(self._tracker.network)
        low_res_logits, result = self._prompted(bank, prompt, first=True, fed_back=None)
        self._banks.append(bank)
        self._low_res_logits.append(low_res_logits)
        self.results.append(result)
        return result

    def copy(self) -> Sam2Session:
        """A session with the same memories and the latest frame's features."""
        twin = copy(self)
        twin._banks = [bank.copy() for bank in self._banks]
        twin._low_res_logits = list(self._low_res_logits)
        twin.results = list(self.results)
        return twin

    @torch.inference_mode()
    def _embed(self, in_float32: bool = False) -> Features:
        network = self._tracker.network
        image = frame_to_tensor(self._frame, network.image_size, self._tracker.device)
        with self._tracker.autocast(in_float32):
            _, features, positions, sizes = network._prepare_backbone_features(network.forward_image(image))
        return features, positions, sizes

    def _prompted(
        self, bank: MemoryBank, prompt: Prompt, first: bool, fed_back: torch.Tensor | None
    ) -> tuple[torch.Tensor, StepResult]:
        """Decode a prompt on the latest frame and remember what came of it; returns its logits and its result."""
        network, device = self._tracker.network, self._tracker.device
        inputs: dict[str, Any] = {}
        if isinstance(prompt, MaskPrompt):
            inputs["mask_inputs"] = mask_to_tensor(prompt.mask, network.image_size, device)
        else:
            inputs["point_inputs"] = points_to_tensors(prompt, self._shape, network.image_size, device)
            inputs["prev_sam_mask_logits"] = fed_back

        def decode(in_float32: bool) -> Tracked:
            output, iou = self._track(bank, in_float32, run_mem_encoder=False, is_init_cond_frame=first, **inputs)
            # Stock encodes a prompted frame's memory from the low-resolution logits, once all prompts are in.
            features, _, sizes = self._features
            with self._tracker.autocast(in_float32):
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

        output, iou = self._finite(decode)
        bank.remember_prompted(self._frame_index, output)
        result = self._result(output, iou)
        if isinstance(prompt, MaskPrompt):  # resizing to the model's square and back would alter the given outline
            result = StepResult(prompt.mask.copy(), result.logits, result.object_score, result.predicted_iou)
        return output["pred_masks"], result

    def _finite(self, work_out: Callable[[bool], Tracked]) -> Tracked:
        """What the network gives for the latest frame, in float32 where its own precision does not reach."""
        tracker = self._tracker
        return finite_answer(work_out, _numbers_of, tracker.dtype != torch.float32, "SAM2 tracker", tracker.source)

    def _track(
        self,
        bank: MemoryBank,
        in_float32: bool,
        run_mem_encoder: bool,
        is_init_cond_frame: bool = False,
        point_inputs: dict[str, torch.Tensor] | None = None,
        mask_inputs: torch.Tensor | None = None,
        prev_sam_mask_logits: torch.Tensor | None = None,
    ) -> Tracked:
        output_dict = bank.output_dict
        if in_float32:
            self._features = self._embed(in_float32)
            output_dict = _in_float32(output_dict)
            prev_sam_mask_logits = None if prev_sam_mask_logits is None else prev_sam_mask_logits.float()
        features, positions, sizes = self._features
        with self._tracker.autocast(in_float32), _PredictedIou(self._tracker.network) as predicted_iou:
            output = self._tracker.network.track_step(
                frame_idx=self._frame_index,
                is_init_cond_frame=is_init_cond_frame,
                current_vision_feats=features,
                current_vision_pos_embeds=positions,
                feat_sizes=sizes,
                point_inputs=point_inputs,
                mask_inputs=mask_inputs,
                output_dict=output_dict,
                num_frames=self._num_frames,
                run_mem_encoder=run_mem_encoder,
                prev_sam_mask_logits=prev_sam_mask_logits,
            )
        taken_as_is = mask_inputs is not None and self._tracker.network.use_mask_input_as_output_without_sam
        return output, 1.0 if taken_as_is else predicted_iou.value

    def _result(self, output: dict[str, Any], iou: float) -> StepResult:
        logits = logits_to_frame(output["pred_masks"], self._shape)
        return StepResult(logits > 0, logits, float(output["object_score_logits"][0, 0]), iou)


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
        self.value = float("nan")

    def __enter__(self) -> _PredictedIou:
        self._handle = self._network.sam_mask_decoder.register_forward_hook(self._keep)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def _keep(self, _module: torch.nn.Module, _inputs: tuple, outputs: tuple) -> None:
        # (masks, ious (1, M), tokens, object scores); of several masks SAM2 takes the one with the greatest estimate.
        self.value = float(outputs[1].float().max())
