"""Runs a program; prints its greatest resident set in MB (getrusage(2)), and the seconds that it took.

usage: peak.py PROGRAM ARGUMENT...
"""

import resource
import subprocess
import sys
import time

begun = time.monotonic()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
seconds = time.monotonic() - begun
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000, seconds)
sys.exit(code)
