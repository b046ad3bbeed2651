"""Benchmarks: scripts that print a table of what was measured and what is to be reached.

`python -m benchmarks` runs all, `python -m benchmarks.NAME` one: routing, memory, chat, embedded,
startup. Nothing is asserted: figures depend on the machine, which is printed first. Everything is
kept in folders that are thrown away.
"""
