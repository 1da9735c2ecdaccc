"""A class: collecting submissions, grading them in parallel, nbgrader's gradebook, feedback and reports."""
