"""Where a student's code runs: bubblewrap, the processes in it, the wire to them. It knows no lab and no class."""
