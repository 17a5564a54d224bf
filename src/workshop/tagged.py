"""AWS's index of tags: what carries ours, whatever it is called. The index lags behind what it speaks of."""

from collections.abc import Iterator

from workshop.context import Workshop
from workshop.participant import arns_of


def tagged(ws: Workshop) -> Iterator[str]:
    """The ARN of everything in this region that the index says carries our tags."""
    filters = [{"Key": key, "Values": [ws.tags[key]]} for key in ("Project", "Participant")]
    pages = ws.client("resourcegroupstaggingapi").get_paginator("get_resources").paginate(TagFilters=filters)
    for page in pages:
        for resource in page["ResourceTagMappingList"]:
            yield resource["ResourceARN"]


def known_by_name(ws: Workshop) -> set[str]:
    """ARNs of what is looked for by name: if that finds nothing there is nothing, whatever the index says."""
    return {arn for kind in ("table", "queue", "function", "topic") for arn in arns_of(ws, kind)}
