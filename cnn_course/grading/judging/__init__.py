"""One submission: what was handed in, the student's functions as stand-ins, the verdict."""
