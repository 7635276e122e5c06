"""Weights that no training has touched: for a network from scratch, and for mask tokens that a run trains first."""

from __future__ import annotations

from pathlib import Path

import torch
from sam2.modeling.sam2_base import SAM2Base

from cinetrack.tracking.evidence.sam2.architecture import build_network

# Cross-attention to the memory starts as a soft "look at the same place": with RoPE, equal biases on one half of each
# rotated pair make keys at the query's own position the likeliest.
LOCAL_ATTENTION_BIAS = 1.5
# A negative object score replaces the mask by -1024 and so ends its gradient; start by believing in the object.
OBJECT_SCORE_BIAS = 3.0
# So that the tokens do not stay copies of each other.
TOKEN_NOISE = 0.02


def untrained_weights(config: str, folder: Path, seed: int) -> dict[str, torch.Tensor]:
    """Weights to start from scratch, name -> tensor. Raises BundleError where the configuration is no SAM2."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(config, folder)
        with torch.no_grad():
            for layer in network.memory_attention.layers:
                for projection in (layer.cross_attn_image.q_proj, layer.cross_attn_image.k_proj):
                    projection.bias.zero_()
                    projection.bias[0::2] = LOCAL_ATTENTION_BIAS
            head = network.sam_mask_decoder.pred_obj_score_head
            last = head.layers[-1] if hasattr(head, "layers") else head
            last.bias.fill_(OBJECT_SCORE_BIAS)
            last.weight.mul_(0.1)
            trunk = network.image_encoder.trunk
            for embedding in (trunk.pos_embed, trunk.pos_embed_window):
                torch.nn.init.trunc_normal_(embedding, std=0.02)
            network.mask_downsample.weight.fill_(1 / network.mask_downsample.weight[0].numel())
    return network.state_dict()


@torch.no_grad()
def teach_multimask_tokens(network: SAM2Base, seed: int) -> None:
    """Give the three tokens of multimask output what the single mask's token has learnt, and a little noise.

    For weights trained without multimask output, whose further tokens are as random as on the first day.
    """
    decoder = network.sam_mask_decoder
    generator = torch.Generator().manual_seed(seed)
    tokens = decoder.mask_tokens.weight
    for index in range(1, decoder.num_mask_tokens):
        tokens[index] = tokens[0] * (1 + TOKEN_NOISE * torch.randn(tokens.shape[1], generator=generator))
        decoder.output_hypernetworks_mlps[index].load_state_dict(decoder.output_hypernetworks_mlps[0].state_dict())
    for parameter in decoder.iou_prediction_head.layers[-1].parameters():
        parameter[1:] = parameter[0]
