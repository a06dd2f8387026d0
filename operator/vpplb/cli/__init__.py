"""The command line, one file a command: parses flags, builds an app from below and runs it."""
