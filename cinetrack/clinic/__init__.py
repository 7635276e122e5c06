"""From the files that clinics have to cases, and from masks back to what clinics open.

`importing` reads DICOM, NIfTI, NRRD, MetaImage, pictures and films into TrackRAD2025 cases; `exporting` writes
predictions as DICOM-SEG, RTSTRUCT, NIfTI, NRRD, COCO and CSV. The modules here are what both sides share. The packages
of the extra `clinic` are imported only by the functions that need them (`packages.py`).
"""
