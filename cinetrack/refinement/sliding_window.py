"""nnU-Net's sliding-window prediction with tiles and mirrored copies in batches, and nothing worked out twice.

Gives what nnUNetPredictor.predict_logits_from_preprocessed_data gives (nnunetv2 2.8.1), in the same order of additions
and, as it does on every device, in half-precision sums: with tiles 5 % of the patch apart, hundreds overlap, and other
rounding would move labels along a border. What one image size fixes (padding, tiles, the sum of their weights) is kept.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn

from cinetrack.refinement.nnunet import compute_gaussian, compute_steps_for_sliding_window, pad_nd_image

logger = logging.getLogger(__name__)

Tile = tuple[int, slice, slice]  # slice number, rows, columns

# Memory of a T4 allows far more at the paper's size; beyond this its arithmetic units are busy anyway.
GPU_TILE_BATCH = 16


@dataclass(frozen=True, eq=False)
class TileGrid:
    """Where tiles lie on an image of one size, and how much weight each of its pixels collects."""

    tiles: tuple[Tile, ...]
    weight_dhw: torch.Tensor  # half


class SlidingWindow:
    """Predicts the logits of whole images with networks that see one patch at a time."""

    def __init__(
        self,
        networks: Sequence[nn.Module],
        patch_size: tuple[int, int],
        mirror_axes: Sequence[int],
        tile_step_size: float,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        tile_batch: int | None = None,
    ) -> None:
        """
        Args:
            networks: (B, C, h, w) to (B, K, h, w) logits, on `device`; their predictions are averaged.
            patch_size: (h, w) px.
            mirror_axes: of the patch (0: rows, 1: columns); predictions are averaged over their every combination.
            tile_step_size: distance of tiles as a fraction of the patch, in (0, 1].
            dtype: float32, or bfloat16 or float16 for autocast.
            tile_batch: patches (tiles times mirrored copies) in one pass. By default 16 on a GPU and 1 on a CPU,
                where batches of 2 and 4 are 15 to 30 % slower a patch.
        """
        self._networks = tuple(networks)
        self._patch_size = patch_size
        self._flips = [axes for n in range(len(mirror_axes) + 1) for axes in itertools.combinations(mirror_axes, n)]
        self._tile_step_size = tile_step_size
        self._device = device
        self._dtype = dtype
        self._tile_batch = tile_batch or (1 if device.type == "cpu" else GPU_TILE_BATCH)
        self._gaussian = compute_gaussian(patch_size, sigma_scale=1 / 8, value_scaling_factor=10, device=device)
        # An image's size is that of its non-zero part, which may breathe by a pixel from frame to frame.
        self._grid_for = lru_cache(maxsize=16)(self._make_grid)

    @torch.inference_mode()
    def logits(self, image_cdhw: torch.Tensor) -> torch.Tensor:
        """The networks' mean logits, (K, D, H, W) on the CPU.

        Half precision, and float32 where half overflows: nnU-Net stops there, a treatment cannot.
        """
        logits = self._mean_over_networks(image_cdhw, self._dtype, torch.half)
        if not torch.isfinite(logits).all():
            logger.warning("refiner: logits beyond the range of float16, computing this frame in float32")
            logits = self._mean_over_networks(image_cdhw, torch.float32, torch.float32)
        return logits

    def _mean_over_networks(self, image_cdhw: torch.Tensor, dtype: torch.dtype, sums: torch.dtype) -> torch.Tensor:
        padded, back = pad_nd_image(image_cdhw, self._patch_size, "constant", {"value": 0}, return_slicer=True)
        padded = padded.to(self._device)
        grid = self._grid_for(tuple(padded.shape[1:]))
        of_networks = (self._predict(network, padded, grid, dtype, sums) for network in self._networks)
        logits = [found[(slice(None), *back[1:])].cpu() for found in of_networks]
        total = logits[0]
        for more in logits[1:]:
            total = total.add_(more)
        return total.div_(len(logits)) if len(logits) > 1 else total

    def _predict(
        self,
        network: nn.Module,
        image: torch.Tensor,
        grid: TileGrid,
        dtype: torch.dtype,
        sums: torch.dtype,
    ) -> torch.Tensor:
        total = None
        with _autocast(self._device, dtype):
            for (number, rows, columns), logits in self._tile_logits(network, image, grid.tiles):
                if total is None:
                    total = torch.zeros((logits.shape[0], *image.shape[1:]), dtype=sums, device=self._device)
                total[:, number, rows, columns] += logits.mul_(self._gaussian)
        assert total is not None, "an image has at least one tile"
        return total.div_(grid.weight_dhw)

    def _tile_logits(
        self, network: nn.Module, image: torch.Tensor, tiles: Sequence[Tile]
    ) -> Iterator[tuple[Tile, torch.Tensor]]:
        """Each tile with its logits, averaged over the mirrored copies."""
        patches = [(tile, axes) for tile in tiles for axes in self._flips]
        mean = torch.empty(0)
        for start in range(0, len(patches), self._tile_batch):
            batch = patches[start : start + self._tile_batch]
            inputs = torch.stack([_flip(image[(slice(None), *tile)], axes) for tile, axes in batch])
            for (tile, axes), logits in zip(batch, network(inputs), strict=True):
                # bfloat16 has too few digits to add up in; float16 and float32 stay, as in nnU-Net.
                logits = _flip(logits.float() if logits.dtype == torch.bfloat16 else logits, axes)
                mean = mean.add_(logits) if axes else logits
                if axes == self._flips[-1]:
                    yield tile, mean.div_(len(self._flips)) if len(self._flips) > 1 else mean

    def _make_grid(self, shape_dhw: tuple[int, int, int]) -> TileGrid:
        height, width = self._patch_size
        steps = compute_steps_for_sliding_window(shape_dhw[1:], self._patch_size, self._tile_step_size)
        tiles = tuple(
            (number, slice(row, row + height), slice(column, column + width))
            for number in range(shape_dhw[0])
            for row in steps[0]
            for column in steps[1]
        )
        weight_dhw = torch.zeros(shape_dhw, dtype=torch.half, device=self._device)
        for tile in tiles:
            weight_dhw[tile] += self._gaussian
        return TileGrid(tiles, weight_dhw)


def _flip(tensor_chw: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    return torch.flip(tensor_chw, [axis + 1 for axis in axes]) if axes else tensor_chw


@contextmanager
def _autocast(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Autocast to `dtype` where that is not float32, and on CUDA the fastest convolution for the patch's size."""
    if device.type != "cuda":
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            yield
        return
    benchmark = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            yield
    finally:
        torch.backends.cudnn.benchmark = benchmark
