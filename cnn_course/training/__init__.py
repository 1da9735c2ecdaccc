"""The inside of `cnn_course.train`: recipe, labelled images, history, resuming, several processes."""
