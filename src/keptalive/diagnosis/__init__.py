"""What kills a long request, and whether keepalive helps: the same request plain and held, at once.

Rule: `arms` does it, `evidence` is what was seen, `verdicts` says what follows, `remedies` what to do.
"""
