"""Grading. Here at the top: what a lab is, and what its notebooks import.

`lab` knows a lab's files and its master's cells. `checks` compares what a student's function returns with what it
should return, `experiments` what an experiment found; `networks` asks a module that a student built; `rules` says what
an answer may not use; `mistakes` lists what common slips would have returned; `run_state` is what they share in a run
of a lab. `release` builds `labs/release/` from `labs/source/`.

Below: `sandbox`, where a student's code runs; `judging`, one submission; `classroom`, a class.
"""
