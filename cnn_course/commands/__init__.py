"""The `cnn-course` command: `cli` reads the command line, and each subcommand has a file of its own."""
