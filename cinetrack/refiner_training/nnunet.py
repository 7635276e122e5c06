"""The parts of nnU-Net that training stands on, imported in one place. Written against nnunetv2 2.8.1."""

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
    from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.run.run_training import run_training
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

__all__ = [
    "DefaultPreprocessor",
    "DatasetFingerprintExtractor",
    "ExperimentPlanner",
    "PlansManager",
    "SpatialTransform",
    "get_pool_and_conv_props",
    "nnUNetTrainer",
    "run_training",
]
