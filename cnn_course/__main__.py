"""`python -m cnn_course`: the command, also where its script is not on the path, as under torchrun."""

import sys

from cnn_course.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
