"""Measure what the functions used, from their logs. The cost estimate builds on it."""

import re
from collections import Counter
from typing import Any

from workshop.base.http import json_object

#: What Lambda logs after each invocation: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
BILLED = re.compile(r"^REPORT .*Billed Duration: (\d+) ms")
#: The bytes that CloudWatch Logs bills per event, in addition to its message.
LINE_OVERHEAD = 26


def measure(events: dict[str, list[dict[str, Any]]], since: float) -> dict[str, Any]:
    """Count what both functions used since a moment.

    Args:
        events: what each function logged, as CloudWatch Logs returns it: `{function: events}`.
        since: seconds since 1970, by AWS's clock.

    Returns:
        `writerCalls`, `notifierCalls` (invocations), `billedMilliseconds`, `publishes`, `logBytes`.
    """
    calls, billed, publishes, size = Counter[str](), 0, 0, 0
    for function, logged in events.items():
        for event in logged:
            if event["timestamp"] < since * 1000:
                continue
            message = event["message"]
            size += len(message.encode()) + LINE_OVERHEAD
            if report := BILLED.match(message):
                calls[function] += 1
                billed += int(report[1])
            publishes += json_object(message).get("event") == "notified"
    return {
        "writerCalls": calls["POC-Lambda-1"],
        "notifierCalls": calls["POC-Lambda-2"],
        "billedMilliseconds": billed,
        "publishes": publishes,
        "logBytes": size,
    }
