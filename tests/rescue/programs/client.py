"""Ask once, as any Python program would: python client.py URL."""

import sys
import urllib.request

with urllib.request.urlopen(sys.argv[1]) as answer:
    sys.stdout.write(answer.read().decode())
