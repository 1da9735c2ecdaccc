"""The networks of the course in PyTorch: one file per family, each built from plain `torch.nn` layers."""
