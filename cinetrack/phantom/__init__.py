"""A synthetic cine-MR phantom: sequences with exact labels that look and move like an MR-linac's."""
