"""How one trial is run: data, training, evaluation and checkpoints, where the GPU is.

Part of frnas.
"""
