"""What the NumPy layers compute with: a convolution checked, windows along one axis, blocks that fit the cache."""
