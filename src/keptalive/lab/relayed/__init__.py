"""What the relay does to the connections through it, one kind of misbehaviour a file.

Rule: a piece hears of each connection that is opened or over, and acts on it by what the relay offers;
pieces do not know of each other. keptalive.lab.relaying puts them together.
"""
