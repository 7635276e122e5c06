"""Labelling first frames by hand: the web app, the store of labels, and propagation through whole sequences."""
