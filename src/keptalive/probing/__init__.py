"""Measure a path: how long may a connection be idle before something on the way forgets it?

Rule: what decides is pure and knows no socket (ladder, estimate, signatures); what touches a socket decides
nothing (wire). `rung` drives one connection, `measure` all of them.
"""
