"""Keeps calls below a rate that AWS sets for the whole account, whoever in this process makes them."""

import functools
import threading
import time
from collections.abc import Callable


class Pace:
    """Lets so many calls pass at once, and so many a second after that. In no second pass more than both together.

    Args:
        burst: calls that need not wait after a rest.
        per_second: calls a second from then on.
        clock: tells seconds.
        sleep: sleeps for seconds.
    """

    def __init__(
        self,
        burst: int,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.apart, self.clock, self.sleep = 1 / per_second, clock, sleep
        self.ahead = (burst - 1) * self.apart
        self._next = float("-inf")
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until the next call may go out."""
        with self._lock:
            now = self.clock()
            self._next = max(self._next, now)
            pause = self._next - self.ahead - now
            self._next += self.apart
        if pause > 0:
            self.sleep(pause)


@functools.cache
def log_reads(_account: str, _region: str) -> Pace:
    """The pace of FilterLogEvents, of which AWS takes five a second from an account in a region.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
    """
    return Pace(burst=2, per_second=3)
