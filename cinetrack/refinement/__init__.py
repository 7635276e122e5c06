"""nnU-Net on the last frames of a sequence and their masks. The one adapter to nnunetv2: its plans, preprocessing,
network and export, as a stream."""
