"""The parts of nnU-Net that the refiner stands on, imported in one place. Written against nnunetv2 2.8.1."""

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):  # earlier versions print reminders of their folders on import
    from acvl_utils.cropping_and_padding.padding import pad_nd_image
    from dynamic_network_architectures.architectures import unet
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
    from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.label_handling.label_handling import LabelManager
    from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

__all__ = [
    "ConfigurationManager",
    "LabelManager",
    "PlansManager",
    "compute_gaussian",
    "compute_steps_for_sliding_window",
    "convert_predicted_logits_to_segmentation_with_correct_shape",
    "get_network_from_plans",
    "pad_nd_image",
    "unet",
]
