"""nbgrader's settings for the labs. nbgrader reads this file when it is started in this folder."""

c = get_config()  # noqa: F821  (nbgrader defines it)

c.CourseDirectory.course_id = "cnn-course"
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}
c.ClearSolutions.text_stub = "Write your answer here."
# A lab runs in seconds; a cell that takes a minute is an endless loop.
c.Execute.timeout = 60
