"""The command line: one file a verb, arguments and printing, nothing else.

Rule: what a verb does stands in the library; here are its options, its table
and its words. A verb's file offers `add_arguments(parser)` and `run(args)`,
which returns an `Exit`, and is loaded only when that verb is called.
"""
