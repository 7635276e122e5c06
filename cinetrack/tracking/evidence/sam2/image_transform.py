"""A raw frame as SAM2 wants it: 8 bit, resized as the video predictor resizes JPEGs, ImageNet-normalised.

Also the prompts' way in: masks to the model's square, (row, column) to (x, y). Follows `sam2.utils.misc`
(`_load_img_as_tensor`, `load_video_frames_from_jpg_images`) and `SAM2VideoPredictor.add_new_mask`.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from cinetrack.sequence.intensity import min_max_8bit
from cinetrack.tracking.prompts import BoxPrompt, PointPrompt

# ImageNet's channel statistics, sam2.utils.misc.load_video_frames.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

# Normalised value of each 8-bit level, (3, 256): the same float32 arithmetic as upstream, once for all frames.
_LEVELS = torch.from_numpy(np.arange(256) / 255.0).float()
_NORMALISED = (_LEVELS[None] - torch.tensor(MEAN)[:, None]) / torch.tensor(STD)[:, None]


def frame_to_tensor(frame: np.ndarray, image_size: int, device: torch.device) -> torch.Tensor:
    """Scale to 8 bit, resize with PIL's bicubic, repeat grey to RGB and normalise.

    Args:
        frame: (H, W), any real type.
        image_size: side of the model's square input, px.
    Returns:
        (1, 3, image_size, image_size) float32 on `device`.
    """
    # PIL resizes band by band, so resizing the grey image once gives what resizing RGB would.
    resized = np.array(Image.fromarray(min_max_8bit(frame)).resize((image_size, image_size), Image.Resampling.BICUBIC))
    levels = torch.from_numpy(resized).to(device)
    return _NORMALISED.to(device)[:, levels.long()].unsqueeze(0)


def mask_to_tensor(mask: np.ndarray, image_size: int, device: torch.device) -> torch.Tensor:
    """A prompt's mask on the model's square: resized with antialias, then thresholded at a half.

    Args:
        mask: (H, W) bool.
    Returns:
        (1, 1, image_size, image_size) float32 in {0, 1}.
    """
    tensor = torch.from_numpy(mask).float()[None, None].to(device)
    if tensor.shape[-2:] == (image_size, image_size):
        return tensor
    resized = torch.nn.functional.interpolate(
        tensor, size=(image_size, image_size), mode="bilinear", align_corners=False, antialias=True
    )
    # A target of a pixel or two on a large frame covers no half of any pixel here; stock SAM2 loses it at once.
    return (resized >= min(0.5, float(resized.max()))).float()


def points_to_tensors(
    prompt: BoxPrompt | PointPrompt, frame_shape: tuple[int, int], image_size: int, device: torch.device
) -> dict[str, torch.Tensor]:
    """Clicks or a box as SAM2's point inputs; a box is its two corners, labelled 2 and 3.

    Returns:
        "point_coords" (1, P, 2) float32, (x, y) on the model's square; "point_labels" (1, P) int32.
    """
    if isinstance(prompt, BoxPrompt):
        rows_columns = [(prompt.top, prompt.left), (prompt.bottom, prompt.right)]
        labels = [2, 3]
    else:
        rows_columns = list(prompt.points)
        labels = [int(positive) for positive in prompt.positive]
    height, width = frame_shape
    xy = (
        torch.tensor([(column / width, row / height) for row, column in rows_columns], dtype=torch.float32) * image_size
    )
    return {
        "point_coords": xy[None].to(device),
        "point_labels": torch.tensor([labels], dtype=torch.int32, device=device),
    }


def logits_to_frame(low_res: torch.Tensor, frame_shape: tuple[int, int]) -> np.ndarray:
    """Mask logits at the frame's resolution.

    Args:
        low_res: (1, 1, h, w), the decoder's logits at a quarter of the model's square.
    Returns:
        (H, W) float32.
    """
    resized = torch.nn.functional.interpolate(low_res.float(), size=frame_shape, mode="bilinear", align_corners=False)
    return resized[0, 0].cpu().numpy()
