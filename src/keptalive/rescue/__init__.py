"""Keepalive for programs that nobody can change: from outside, while they run.

Rule: fail open. If keptalive is killed at any moment, the program goes on as it is.
"""
