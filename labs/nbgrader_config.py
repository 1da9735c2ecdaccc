"""nbgrader's settings for the labs. nbgrader reads this file when it is started in this folder."""

from cnn_course.grading.lab import TEXT_STUB

c = get_config()  # noqa: F821  (nbgrader defines it)

c.CourseDirectory.course_id = "cnn-course"
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}
c.ClearSolutions.text_stub = TEXT_STUB

# `nbgrader autograde` and formgrader's buttons do what `cnn-course grade` does: of a submission only the solution cells
# are read, they run in a sandbox, and the tests run outside. nbgrader's own steps, which execute the notebook, are out.
STEPS = "cnn_course.grading.classroom.nbgrader_steps"
c.Autograde.exporter_class = f"{STEPS}.Judge"
c.Autograde.sanitize_preprocessors = [f"{STEPS}.Refuse"]
c.Autograde.autograde_preprocessors = [f"{STEPS}.Refuse"]
c.GenerateFeedback.exporter_class = f"{STEPS}.FeedbackPages"
# Links that a student left in the exchange are not followed.
c.ExchangeFactory.collect = f"{STEPS}.Collect"
# The graded notebooks hold no HTML of students; should one ever, formgrader does not show it as HTML.
c.HTMLExporter.sanitize_html = True
