"""`cai` on Linux as on a Mac: the kernel's name is told differently to the command, and nothing else. usage: as_macos.py WORD...

What the playbook runs is told the truth, or what a stand-in of `uname` says.
"""

import os
import sys

from cai.__main__ import main

_uname = os.uname
os.uname = lambda: os.uname_result(("Darwin", *_uname()[1:]))
sys.argv[0] = "cai"
main()
