"""The programs of the `convkit` command, one file each.

A module here that has a function `command` is a sub-command of the same name; its function `run`
does the work and can be called from Python. The other modules are parts that the programs share.
Heavy imports wait until a program runs.
"""
