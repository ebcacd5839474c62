"""A worker does not outlive its parent: whoever kills the parent with -9 leaves nobody who would end it.

Asked for again and again and not told by the kernel: `PR_SET_PDEATHSIG` exists on Linux only, goes by the
thread that forked and not by the process, and has no second, harder signal for a worker that does not leave.
"""

import os
import signal
import threading
import time
from multiprocessing import parent_process

LOOK_EVERY_S = 0.5


def leave_with_parent(within_s: float) -> None:
    """From now on: once the parent of this process is gone, SIGTERM to itself, and SIGKILL `within_s` later.

    For a child of `multiprocessing`; in any other process nothing happens.
    """
    parent = parent_process()
    if parent is not None and parent.pid is not None:
        arguments = (parent.pid, within_s)
        threading.Thread(target=_watch, args=arguments, name="parent-watch", daemon=True).start()


def _watch(parent: int, within_s: float) -> None:
    # An orphan is given to another process, so a look is right even when the parent died before the first.
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(within_s)
    os.kill(os.getpid(), signal.SIGKILL)
