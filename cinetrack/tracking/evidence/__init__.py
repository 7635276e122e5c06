"""The sources of evidence, one a file (or folder): each says of every pixel how likely it is the target's.

To add one, add a file whose settings class has a `kind` and a `load`, as `outline.py`: bundles may then name it.
"""
