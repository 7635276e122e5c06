"""What SAM2 remembers of one target, bounded: the prompted frames, and as much of the past as it can ever read.

Stock sam2 keeps every frame's output. `SAM2Base._prepare_memory_conditioned_features` reads of the frames that were
not prompted the last `num_maskmem - 1` memory features (every r-th where `memory_temporal_stride_for_eval` is r) and
the last `max_obj_ptrs_in_encoder - 1` object pointers; the rest is dropped here.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import torch
from sam2.modeling.sam2_base import SAM2Base

FrameOutput = dict[str, Any]


class MemoryBank:
    """One target's memories, in the layout that `SAM2Base.track_step` reads."""

    def __init__(self, network: SAM2Base) -> None:
        # Prompted frames first, then the others; keys are frame numbers.
        self.output_dict: dict[str, dict[int, FrameOutput]] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
        stride = network.memory_temporal_stride_for_eval
        # The oldest memory read for frame t is at ((t - 2) // r - (num_maskmem - 3)) * r, at the earliest.
        self._features_reach = max(network.num_maskmem * stride, 1)
        self._pointers_reach = network.max_obj_ptrs_in_encoder if network.use_obj_ptrs_in_encoder else 0

    def remember_prompted(self, frame_index: int, output: FrameOutput) -> None:
        """Keep a prompted frame's memory for good; it replaces an unprompted one of the same frame."""
        self.forget(frame_index)
        self.output_dict["cond_frame_outputs"][frame_index] = _compact(output)

    def remember(self, frame_index: int, output: FrameOutput) -> None:
        """Keep a tracked frame's memory until no later frame can read it."""
        past = self.output_dict["non_cond_frame_outputs"]
        past[frame_index] = _compact(output)
        for index in list(past):
            age = frame_index + 1 - index
            if age > max(self._features_reach, self._pointers_reach):
                del past[index]

    def is_only_prompted_frame(self, frame_index: int) -> bool:
        """Whether the target was prompted on this frame and on no other."""
        return list(self.output_dict["cond_frame_outputs"]) == [frame_index]

    def forget(self, frame_index: int) -> None:
        """Drop what was remembered of a frame, where anything was."""
        for memories in self.output_dict.values():
            memories.pop(frame_index, None)

    def copy(self) -> MemoryBank:
        """A bank that forgets and learns by itself; the memories, which nothing changes, are shared."""
        twin = copy(self)
        twin.output_dict = {kind: dict(memories) for kind, memories in self.output_dict.items()}
        return twin


def _compact(output: FrameOutput) -> FrameOutput:
    # Stock rounds the features to bfloat16 to save space. The rounding is kept, being what the model is run with;
    # the type is not, since every step would have to convert them back.
    rounded = output["maskmem_features"].to(torch.bfloat16).to(output["maskmem_features"].dtype)
    return {
        "maskmem_features": rounded,
        "maskmem_pos_enc": output["maskmem_pos_enc"],
        "obj_ptr": output["obj_ptr"],
    }
