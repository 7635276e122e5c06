"""The last stage: what is done with each frame's mask, one step a file."""
