"""The folder that nnU-Net's variable nnUNet_extTrainer names: it imports every module in here to find a trainer."""
