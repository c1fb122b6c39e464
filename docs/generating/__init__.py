"""The parts of the documentation that come from the code: one page, or one kind of block, a file."""
