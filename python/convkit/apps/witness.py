"""A process that outlives a crash: it knows what was being run, and says so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

# Reads lines until the pipe closes; an empty one says that all ended as it should.
_READER = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
last = ""
for line in sys.stdin:
    last = line.strip()
    if not last:
        break  # a child of the other process may hold the pipe open
if last:
    print("convkit: the process died in:", last, file=sys.stderr)
"""


@contextmanager
def witness() -> Iterator[Callable[[str], None]]:
    """A function to be told what runs next, which is printed on stderr if this process dies of it.

    No signal handler could do so: memory may be damaged, and SIGKILL has none.
    """
    command = [sys.executable, "-I", "-S", "-c", _READER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, text=True, errors="replace", bufsize=1
    ) as reader:
        pipe = reader.stdin
        assert pipe is not None

        def tell(what: str) -> None:
            with suppress(OSError):  # a witness that was killed
                pipe.write(" ".join(what.split()) + "\n")

        try:
            yield tell
        finally:
            tell("")
