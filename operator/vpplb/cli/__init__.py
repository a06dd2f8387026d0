"""The command line, one file a command. Commands parse flags, build an app from below and run it.
"""
