"""The answers of AWS that pass by themselves, and how each is waited out.

AWS is eventually consistent: a role made a second ago is not known to Lambda yet, a queue's name is taken for
a minute after its deletion. This table names every such answer by service, code and message, with the reason
and a deadline. Nothing outside the table is tried again.

Throttling and faults of AWS are in the table as well, although botocore has a standard retry mode for them. That
one counts attempts instead of seconds, says nothing while it waits up to 20 seconds between two of them, and repeats
every call, also one that makes something and may have been carried out. It takes every LimitExceededException for
throttling, which DynamoDB and IAM also say of quotas. See
https://docs.aws.amazon.com/boto3/latest/guide/retries.html#standard-retry-mode.
The drawback: the list of throttling codes is ours to keep.

One kind of lost answer is not retried here either: when the connection breaks under a call that makes
something, a second call may make a twin. `workshop.build.step.Resource.ensure` looks before it creates again.
"""

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

from workshop.base.errors import GaveUp

#: The first pause and the longest, in seconds. The longest bounds how late we notice that a call would work.
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 2.0

#: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html names the throttling codes.
THROTTLES = (
    r"Throttling|ThrottlingException|ThrottledException|RequestThrottled|RequestThrottledException|Throttled"
    r"|TooManyRequestsException|RequestLimitExceeded|BandwidthLimitExceeded"
    r"|ProvisionedThroughputExceededException|TransactionInProgressException|PriorRequestNotComplete|SlowDown"
    r"|EC2ThrottledException|KMSThrottlingException"
)


@dataclass(frozen=True)
class Refusal:
    """An answer that passes.

    Attributes:
        service: botocore's name of the service; `*` for any.
        operations: a regular expression that the operation's name matches in full.
        code: a regular expression that the error code matches in full.
        message: a regular expression found in the error's message.
        reason: what is waited for, as a sentence for the person who waits.
        deadline: seconds after which the answer counts as final.
    """

    service: str
    operations: str
    code: str
    message: str
    reason: str
    deadline: float

    def matches(self, service: str, operation: str, code: str, message: str) -> bool:
        """Whether an answer of AWS is this one."""
        return (
            self.service in ("*", service)
            and re.fullmatch(self.operations, operation) is not None
            and re.fullmatch(self.code, code) is not None
            and re.search(self.message, message, re.IGNORECASE) is not None
        )


#: Each row with where it was seen, or where AWS documents it.
REFUSALS = (
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
    # https://github.com/hashicorp/terraform-provider-aws/issues/4633: with the default key; we never name one.
    Refusal("lambda", "CreateFunction|UpdateFunctionConfiguration", "InvalidParameterValueException",
            "cannot be assumed by Lambda|KMS key is invalid for CreateGrant",
            "the new role is on its way to Lambda (usually under 10 seconds)", 300),
    # https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/lambda/event_source_mapping.go
    Refusal("lambda", "(Create|Update)EventSourceMapping", "InvalidParameterValueException",
            "execution role does not have permissions|ensure the role can perform|cannot be assumed by Lambda",
            "the role's new rights are on their way to Lambda (usually under 10 seconds)", 300),
    # https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
    # https://github.com/hashicorp/terraform-provider-aws/issues/5154: "a concurrent update operation".
    Refusal("lambda", ".*", "ResourceConflictException",
            "currently in the following state: Pending|update is in progress|concurrent update operation",
            "Lambda is still busy with the previous change of the function", 300),
    # https://docs.aws.amazon.com/lambda/latest/api/API_DeleteEventSourceMapping.html
    Refusal("lambda", "(Update|Delete)EventSourceMapping", "ResourceInUseException", "in use",
            "the event source mapping is still changing its state", 300),
    # https://github.com/hashicorp/terraform-provider-aws/issues/1776: "can be created, updated, or deleted
    # simultaneously". The number of tables is limited under the same code, and that does not pass.
    Refusal("dynamodb", "(Create|Update|Delete)Table", "LimitExceededException", "simultaneous",
            "DynamoDB changes only so many tables at once", 600),
    # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html
    # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TagResource.html
    Refusal("dynamodb", "UpdateTable|DeleteTable|TagResource", "ResourceInUseException", "",
            "DynamoDB is still busy with the previous change of the table", 600),
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
    Refusal("sqs", "CreateQueue", r"(AWS\.SimpleQueueService\.)?QueueDeletedRecently", "",
            "SQS keeps a deleted queue's name for 60 seconds", 90),
    # https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html
    Refusal("sns", "CreateTopic|SetTopicAttributes", "InvalidParameter(Exception|Value)?", "PrincipalNotFound",
            "the new role is on its way to SNS", 120),
    # https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html: tags outlive a deleted topic for a while.
    Refusal("sns", "CreateTopic|TagResource", "(StaleTag|ConcurrentAccess)(Exception)?", "",
            "SNS is still busy with the tags of a topic of this name", 120),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    Refusal("sqs", "CreateQueue|SetQueueAttributes", "InvalidParameterValue|InvalidAttributeValue",
            "PrincipalNotFound|Invalid value for the parameter Policy",
            "the new role is on its way to SQS", 120),
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
    # https://github.com/aws/aws-cdk/issues/15709: Lambda may be making the same log group.
    Refusal("logs", "CreateLogGroup|PutRetentionPolicy|DeleteLogGroup", "OperationAbortedException", "",
            "CloudWatch Logs is still busy with the previous change of the log group", 60),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
    Refusal("apigateway", "PutIntegration|CreateDeployment", "BadRequestException", "role.*(assum|invalid)",
            "the new role is on its way to API Gateway", 120),
    # https://github.com/hashicorp/terraform-provider-aws/issues/16439
    Refusal("apigateway", ".*", "ConflictException|BadRequestException", "concurrent modification",
            "API Gateway is still busy with the previous change of the API", 120),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html: a read may not show the last write.
    Refusal("iam", "AttachRolePolicy|CreatePolicyVersion|TagRole|UpdateAssumeRolePolicy", "NoSuchEntity",
            "", "IAM has not spread what was made a moment ago", 60),
    Refusal("iam", "DeleteRole|DeletePolicy", "DeleteConflict", "policies|entities|version",
            "IAM has not spread that the policies were detached", 60),
    Refusal("iam", ".*", "ConcurrentModification", "", "somebody changes the same role or policy", 60),
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html: DeleteRestApi is 1 in 30 seconds.
    Refusal("apigateway", ".*", "TooManyRequestsException", "",
            "API Gateway takes one such call in 3 to 30 seconds from an account", 300),
    Refusal("*", ".*", THROTTLES, "", "AWS asks for fewer calls", 180),
    Refusal("*", ".*", "RequestTimeout|RequestTimeoutException|InternalError|InternalFailure|InternalServerError"
            "|ServiceUnavailable|ServiceUnavailableException|ServiceException|5[0-9][0-9]", "",
            "AWS has a fault on its side", 120),
)  # fmt: skip

FAULT = REFUSALS[-1]
CONNECTION_BROKE = Refusal("*", ".*", "", "", "the connection to AWS broke", 60)
NO_CONNECTION = Refusal("*", ".*", "", "", "AWS cannot be reached", 10)


def answer_was_lost(error: Exception) -> bool:
    """Whether a call may have been carried out although it failed: its connection broke, or AWS had a fault."""
    if isinstance(error, ClientError):
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"]) >= 500
    return isinstance(error, HTTPClientError)


def is_denied(error: ClientError) -> bool:
    """Whether AWS says that the caller lacks a right."""
    code = error.response["Error"]["Code"]
    return "AccessDenied" in code or code in ("UnauthorizedOperation", "AuthorizationError")


def makes_something(operation: str) -> bool:
    """Whether a second call makes a twin, or fails because the first one was carried out."""
    # A table's stream that is on already cannot be switched on.
    return operation.startswith("Create") or operation == "UpdateTable"


class Waiter:
    """Waits out what passes, for every call of every client that it is registered with.

    Args:
        tell: called with one line when a wait begins.
        sleep: sleeps for seconds.
        clock: tells seconds.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tell, self.sleep, self.clock = tell, sleep, clock

    def register(self, client: Any) -> None:
        """Wait out the refusals that this boto3 client gets."""
        client.meta.events.register("needs-retry", self._needs_retry)

    def until(self, ready: Callable[[], Any], reason: str, deadline: float, quiet: bool = False) -> Any:
        """Ask again and again, first often and then every two seconds.

        Args:
            ready: asked for a true value.
            reason: what is waited for, said once.
            deadline: seconds.
            quiet: say nothing, since a wait of this kind is nothing special.

        Returns:
            The first true value.

        Raises:
            GaveUp: there was none until the deadline.
        """
        began, tries = self.clock(), 0
        while not (value := ready()):
            waited = f"{reason}, for more than {deadline:.0f} seconds."
            # What is there within a second is nothing to speak of.
            self.pause(tries, began, reason, deadline, waited, tell_at=None if quiet else 2)
            tries += 1
        return value

    def _needs_retry(self, response: Any, operation: Any, caught_exception: Any, request_dict: dict[str, Any],
                     **_: Any) -> float | None:  # fmt: skip
        """Botocore asks this after every answer; 0 means "again, at once", None "that is the answer"."""
        service = operation.service_model.service_name
        refusal, answer = self._recognise(service, operation.name, response, caught_exception)
        if refusal is None:
            return None
        waits = request_dict["context"].setdefault("workshop_waits", {"began": self.clock(), "tries": 0})
        self.pause(waits["tries"], waits["began"], refusal.reason, refusal.deadline,
                    f"{service} {operation.name}: {answer}")  # fmt: skip
        waits["tries"] += 1
        return 0

    def _recognise(
        self, service: str, operation: str, response: Any, error: BotoCoreError | None
    ) -> tuple[Refusal | None, str]:
        """Find the row of the table for an answer, and the answer as text."""
        if isinstance(error, ConnectionError):
            return NO_CONNECTION, str(error)
        if error is not None:
            passes = isinstance(error, HTTPClientError) and not makes_something(operation)
            return (CONNECTION_BROKE if passes else None), str(error)
        http, parsed = response
        if http.status_code < 300:
            return None, ""
        code, message = (str(parsed.get("Error", {}).get(key, "")) for key in ("Code", "Message"))
        found = next((r for r in REFUSALS if r.matches(service, operation, code, message)), None)
        if found is None and http.status_code >= 500:
            found = FAULT
        if found is FAULT and makes_something(operation):
            found = None
        return found, f"{code} {message}"

    def pause(
        self, tries: int, began: float, reason: str, deadline: float, answer: str, tell_at: int | None = 0
    ) -> None:
        """Sleep before the next try: shortly at first, two seconds at last.

        Args:
            tries: how many there were.
            began: when the first one was, by this object's clock.
            reason: what is waited for, as a sentence.
            deadline: seconds after the first try when it is enough.
            answer: what AWS said at last.
            tell_at: the number of tries after which the reason is told; None for never.

        Raises:
            GaveUp: the deadline has passed.
        """
        if self.clock() - began >= deadline:
            raise GaveUp(
                f"Gave up after {deadline:.0f} seconds: {answer.rstrip('.')}.",
                f"Usually {reason}; run the same command again, it goes on where it stopped.",
            )
        if tries == tell_at:
            self.tell(f"waiting: {reason}")
        # Thirty trainees who began together should not come back together.
        self.sleep(min(FIRST_PAUSE * 2 ** min(tries, 10), LONGEST_PAUSE) * random.uniform(0.75, 1.0))
