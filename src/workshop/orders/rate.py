"""Keep the calls of this process below a rate that AWS limits per account."""

import functools
import threading
import time
from collections.abc import Callable


class RateLimiter:
    """A token bucket: allows a burst of calls, then a steady rate.

    Args:
        burst: calls that don't wait after a pause.
        per_second: calls a second after that.
        clock: returns seconds.
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
        """Wait until the next call is allowed."""
        with self._lock:
            now = self.clock()
            self._next = max(self._next, now)
            pause = self._next - self.ahead - now
            self._next += self.apart
        if pause > 0:
            self.sleep(pause)


@functools.cache
def log_reads(_account: str, _region: str) -> RateLimiter:
    """Return the limiter for FilterLogEvents, which AWS limits to five calls a second per account and region.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
    """
    return RateLimiter(burst=2, per_second=3)
