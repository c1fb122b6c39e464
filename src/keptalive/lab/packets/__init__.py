"""A firewall that decides packet by packet, for the packet engine: pure, without a socket or a clock.

segment.py reads and writes packets, flow.py follows a connection, firewall.py decides, rules.py is what
the faults do to idle flows, proxy.py plays a proxy that has closed, journal.py keeps the record.
"""
