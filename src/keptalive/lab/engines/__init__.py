"""The engines: each a way to put a misbehaving firewall between a client and a server.

Rule: one engine, one file; all meet the interface in keptalive.lab.interface.
"""
