"""Files of the course: where the lectures are, and writing a file whole or not at all."""
