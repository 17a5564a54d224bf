"""Who something in AWS belongs to, and whether it is still there: what AWS's answers prove, and what they do not.

Anything may be deleted between two of our calls, so what AWS no longer knows is gone, whichever call says so. And
AWS shows the tags of something new only after a moment, so no tags at all are no proof of another owner at first.
"""

import contextlib
import enum
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

#: What a resource is described as: the service's own answer, with at least `Arn`.
Description = dict[str, Any]

#: How the services say that there is nothing of that name.
NOT_FOUND = {
    "NoSuchEntity",
    "NotFound",
    "NotFoundException",
    "ResourceNotFound",
    "ResourceNotFoundException",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
}
#: Seconds for which the tags of something new may not show up.
TAGS_LAG = 20.0
#: Seconds for which something counts as new. This machine's clock may be wrong by as much as AWS lets it:
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html
NEW_FOR = 600.0
#: Where descriptions say since when something stands, or at least stands as it is.
SINCE = ("CreateDate", "CreationDateTime", "CreatedTimestamp", "creationTime", "createdDate", "LastModified")


class Owner(enum.Enum):
    """Who a found resource belongs to, as far as its tags say."""

    OURS = enum.auto()
    SOMEBODY = enum.auto()
    #: This participant's, but of another region, or of one that nothing tells.
    ELSEWHERE = enum.auto()
    UNTAGGED = enum.auto()
    #: It was deleted since it was found.
    GONE = enum.auto()


def is_gone(error: ClientError) -> bool:
    """Whether AWS says that there is nothing of that name (any more)."""
    return error.response["Error"]["Code"] in NOT_FOUND


@contextlib.contextmanager
def gone_is_fine() -> Iterator[None]:
    """Leave a block quietly when what it is about is gone already."""
    try:
        yield
    except ClientError as error:
        if not is_gone(error):
            raise


def is_new(found: Description) -> bool:
    """Whether a resource may have been made a moment ago: by its description, or because that does not tell."""
    since = next((found[key] for key in SINCE if key in found), None)
    if since is None:
        return True
    if isinstance(since, str) and not since.isdigit():
        since = datetime.fromisoformat(since)
    if not isinstance(since, datetime):
        # SQS tells seconds, as a text; CloudWatch Logs milliseconds.
        seconds = float(since)
        since = datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)
    return abs((datetime.now(UTC) - since).total_seconds()) < NEW_FOR
