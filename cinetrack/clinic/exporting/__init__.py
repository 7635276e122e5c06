"""Predicted masks in the formats that clinics and annotation tools open. One module a format."""
