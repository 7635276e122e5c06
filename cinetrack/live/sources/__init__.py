"""Sources of live frames: a folder that fills, standard input, OpenIGTLink, a recorded session.

No medical device: research and simulation.
"""
