"""Exit codes."""

OK = 0
FAILURE = 1
"""It did not work: no connection, a registry that fails, a port in use, a fault that `doctor` found."""
USAGE = 2
"""Wrong arguments or a wrong configuration: the same again will fail again."""
TIMEOUT = 3
"""A time limit passed, that of `--timeout` or of the configuration."""
INTERRUPTED = 130
"""Ctrl-C, in a command that is not meant to be ended so."""
