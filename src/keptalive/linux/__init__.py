"""What only Linux offers: netlink, /proc, pidfds, namespaces.

Rule: each file wraps one interface of the kernel, thinly, and knows nothing of
keepalive policies or of what is printed.
"""
