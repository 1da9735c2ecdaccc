"""Interactive views: a picture where there is no kernel, live in JupyterLab, static with CNN_COURSE_WIDGETS=0."""

from cnn_course.widgets.backward_stepper import backward_stepper
from cnn_course.widgets.draw_digit import draw_digit
from cnn_course.widgets.explore import explore
from cnn_course.widgets.kernel_designer import kernel_designer
from cnn_course.widgets.kernel_matrix import kernel_matrix
from cnn_course.widgets.object_mover import object_mover
from cnn_course.widgets.shape_playground import shape_playground
from cnn_course.widgets.stack_builder import stack_builder
from cnn_course.widgets.stepping_window import stepping_window
from cnn_course.widgets.training_monitor import training_monitor
from cnn_course.widgets.unit_browser import unit_browser

__all__ = [
    "backward_stepper",
    "draw_digit",
    "explore",
    "kernel_designer",
    "kernel_matrix",
    "object_mover",
    "shape_playground",
    "stack_builder",
    "stepping_window",
    "training_monitor",
    "unit_browser",
]
