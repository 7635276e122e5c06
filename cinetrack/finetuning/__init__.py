"""Fine-tuning of SAM2 with its own training package, fed from cine-MR on disk or from the phantom.

`training` and `sam2` are Meta's, installed with `sam2==1.1.0`; this room holds their configuration, the data sources
and what the trainer lacks: the CPU, gradient accumulation, exact resumption, and validation with the real pipeline.
"""
