"""What holds for all tests: they use no cache on disk, unless a test asks for one of its own.

So every test compiles what it runs, and none depends on what is in the user's home. It is set here,
at import, so that it holds for collection and for the processes that tests start, too. Ctrl-C has
its usual meaning also where the tests were started in the background, by a shell that ignores it.
"""

from __future__ import annotations

import os
import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["GRAPHC_CACHE"] = "0"
for name in ("GRAPHC_CACHE_DIR", "GRAPHC_CACHE_BYTES"):
    os.environ.pop(name, None)
