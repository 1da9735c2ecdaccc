"""What `stacks`, `trace` and `interpret` look at networks with: tables of layers, and hooks that leave no trace."""
