"""What the functions did and used, read from their logs: the base of what an order costs."""

import re
from typing import Any

from workshop.context import Workshop
from workshop.kinds import KINDS
from workshop.web import json_object

#: What Lambda writes after each call: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
BILLED = re.compile(r"^REPORT .*Billed Duration: (\d+) ms")
#: CloudWatch counts so many bytes for each line beside its text.
LINE_OVERHEAD = 26


def measure(ws: Workshop, since: float) -> dict[str, Any]:
    """Count what both functions did since a moment.

    Args:
        ws: the context.
        since: seconds since 1970.

    Returns:
        `writerCalls`, `notifierCalls` (invocations), `billedMilliseconds`, `publishes`, `logBytes`.
    """
    logs = ws.client("logs")
    calls, billed, publishes, size = {}, 0, 0, 0
    for function in ("POC-Lambda-1", "POC-Lambda-2"):
        calls[function] = 0
        group = ws.name(f"/aws/lambda/{function}")
        if KINDS["log-group"].find(ws, group) is None:
            continue
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=int(since * 1000))
        for page in pages:
            for event in page["events"]:
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
