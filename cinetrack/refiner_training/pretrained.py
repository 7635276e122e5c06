"""Training that starts from the weights of another refiner, by nnU-Net's own `pretrained_weights`.

nnU-Net takes over all but the segmentation heads, which it draws anew, and asks for the same network otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cinetrack.bundle.safe_weights import differences, load_network
from cinetrack.errors import InputError
from cinetrack.refinement.network import build_network
from cinetrack.refinement.nnunet import PlansManager
from cinetrack.refiner_training.dataset_folders import DatasetFolders
from cinetrack.refiner_training.planning import CONFIGURATION
from cinetrack.refiner_training.trained_patients import FILE_NAME, check_unseen, trained_patients
from cinetrack.sequence.json_files import read_json

HEADS = ".seg_layers."  # in the names of the tensors that nnU-Net leaves out


def check_pretrained(checkpoint: Path, folders: DatasetFolders, plans: str, held_out: Iterable[str]) -> None:
    """Check that training by these plans can start from a checkpoint, and that it has not seen who is held out.

    Args:
        checkpoint: as nnU-Net writes it; `patients.json` beside it, if any, says whom it was trained on.
        plans: name of the plans.
        held_out: patients of the fold's validation.
    Raises:
        BundleError: no checkpoint, an unreadable one, or one whose weights are not finite.
        InputError: another network, naming the first tensor that differs, or one that has seen a patient.
    """
    weights = load_network(checkpoint, "network_weights")
    plans_path = folders.preprocessed / f"{plans}.json"
    dataset = read_json(folders.preprocessed / "dataset.json")
    configuration = PlansManager(read_json(plans_path)).get_configuration(CONFIGURATION)
    network = build_network(configuration, len(dataset["channel_names"]), len(dataset["labels"]), plans_path)
    own, given = (
        {name: tensor for name, tensor in state.items() if HEADS not in name}
        for state in (network.state_dict(), weights)
    )
    if problems := differences(own, given):
        raise InputError(f"{checkpoint}: expected the network of {plans_path}, found weights {problems}")
    if (checkpoint.parent / FILE_NAME).exists():
        check_unseen(checkpoint.parent, held_out, "start from other weights")


def pretraining_patients(checkpoint: Path) -> set[str]:
    """Whom a checkpoint was trained on; empty where nothing beside it says so."""
    return trained_patients(checkpoint.parent) if (checkpoint.parent / FILE_NAME).exists() else set()
