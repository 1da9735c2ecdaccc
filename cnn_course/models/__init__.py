"""The networks of the course in PyTorch: one file per family, each built from plain `torch.nn` layers.

What a file lists in SHELL_NAMES can be trained from the shell: see `shell_names`.
"""
