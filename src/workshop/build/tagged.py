"""AWS's index of tags: what carries ours, whatever it is called. The index lags behind what it speaks of."""

from collections.abc import Iterator

from workshop.build.context import Workshop
from workshop.kinds import KINDS


def tagged(ws: Workshop) -> Iterator[str]:
    """The ARN of everything in this region that the index says carries our tags."""
    pages = (
        ws.client("resourcegroupstaggingapi")
        .get_paginator("get_resources")
        .paginate(TagFilters=[{"Key": key, "Values": [ws.tags[key]]} for key in ("Project", "Participant")])
    )
    for page in pages:
        for resource in page["ResourceTagMappingList"]:
            yield resource["ResourceARN"]


def known_by_name(ws: Workshop) -> set[str]:
    """ARNs of what is looked for by name: if that finds nothing there is nothing, whatever the index says."""
    named = ((KINDS[part.kind].arn, part.base) for part in ws.parts if part.kind in KINDS)
    return {arn(ws, ws.name(base)) for arn, base in named if arn is not None}
