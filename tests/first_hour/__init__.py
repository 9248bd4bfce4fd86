"""The first hour of six kinds of new users, replayed on files as such people have them.

``make test`` replays it in short form, in one process; ``make first-hour`` (``python -m tests.first_hour``) with every
command in a process of its own, on more and larger files.
"""
