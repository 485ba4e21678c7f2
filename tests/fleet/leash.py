"""Runs a command, and ends it with all that it started when standard input ends, and so with the test."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress


def _end_with_standard_input(group):
    os.read(0, 1)
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
threading.Thread(target=_end_with_standard_input, args=[process.pid], daemon=True).start()
sys.exit(process.wait())
