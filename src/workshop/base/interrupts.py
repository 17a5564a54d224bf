"""Make Ctrl-C set an event, for work that hands tasks to threads."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

#: Ctrl-C, and what `kill` sends.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def ctrl_c_sets(stop: threading.Event) -> Iterator[None]:
    """Make Ctrl-C and SIGTERM set an event. A second one has its usual effect.

    A KeyboardInterrupt can be raised anywhere in the main thread. In a callback or an error handler, it may be lost,
    and in `Executor.submit` it can leave a lock held, after which the executor never ends.

    Args:
        stop: the event.
    """
    # Only the main thread receives signals. A signal that isn't handled in Python keeps its meaning.
    main = threading.current_thread() is threading.main_thread()
    handlers = {number: before for number in SIGNALS if main and callable(before := signal.getsignal(number))}

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            handlers[signal.Signals(number)](number, frame)
        stop.set()

    for number in handlers:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, before in handlers.items():
            signal.signal(number, before)
