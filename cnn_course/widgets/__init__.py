"""Interactive views: a picture where there is no kernel, live in JupyterLab, static with CNN_COURSE_WIDGETS=0."""

from cnn_course.widgets.explore import explore
from cnn_course.widgets.kernel_designer import kernel_designer
from cnn_course.widgets.object_mover import object_mover
from cnn_course.widgets.stepping_window import stepping_window

__all__ = ["explore", "kernel_designer", "object_mover", "stepping_window"]
