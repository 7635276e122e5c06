"""Training the refiner: a tracker's masks beside the truth as an nnU-Net dataset, nnU-Net's training, and its proof."""
