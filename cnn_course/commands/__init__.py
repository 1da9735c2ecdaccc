"""The `cnn-course` command: `cli` reads the command line, and each subcommand has a file that bears its name."""
