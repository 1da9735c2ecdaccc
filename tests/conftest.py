"""Settings that every test shares."""

import matplotlib
from hypothesis import settings

matplotlib.use("agg")  # no windows, also on a desktop

# The same examples on every run and machine, and no time limit for one: shared machines are slow in bursts.
settings.register_profile("course", deadline=None, derandomize=True)
settings.load_profile("course")
