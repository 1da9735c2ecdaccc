"""The convolutional-network course that runs: helper package of the lectures and labs."""

__version__ = "0.1.0"
