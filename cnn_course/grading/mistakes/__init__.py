"""What common slips would have returned, with what to tell the student. A lab's master names the modules it uses.

Every function gives pairs (array or number, message) for `checks.check(..., mistakes=...)`. The order matters: the
first pair that matches is shown. Pairs that happen to equal the right answer are ignored by the comparison.
"""
