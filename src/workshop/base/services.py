"""boto3's clients by the name of their service, each with its type: a type checker finds a parameter that is none.

The types are those of boto3-stubs, which only type checkers need.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, overload

from botocore.client import BaseClient

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_service_quotas import ServiceQuotasClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sts import STSClient

#: Parameters that stand apart from their call: `**` and a mapping's keys lose the types that the call expects.
Parameters = dict[Any, Any]


class ClientsByService:
    """Clients by the name of their service, each made once.

    Args:
        make: makes the client of a service.
    """

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._make = make
        self._made: dict[str, Any] = {}

    @overload
    def __call__(self, service: Literal["apigateway"]) -> "APIGatewayClient": ...
    @overload
    def __call__(self, service: Literal["cloudformation"]) -> "CloudFormationClient": ...
    @overload
    def __call__(self, service: Literal["cloudwatch"]) -> "CloudWatchClient": ...
    @overload
    def __call__(self, service: Literal["dynamodb"]) -> "DynamoDBClient": ...
    @overload
    def __call__(self, service: Literal["dynamodbstreams"]) -> "DynamoDBStreamsClient": ...
    @overload
    def __call__(self, service: Literal["iam"]) -> "IAMClient": ...
    @overload
    def __call__(self, service: Literal["lambda"]) -> "LambdaClient": ...
    @overload
    def __call__(self, service: Literal["logs"]) -> "CloudWatchLogsClient": ...
    @overload
    def __call__(self, service: Literal["resourcegroupstaggingapi"]) -> "ResourceGroupsTaggingAPIClient": ...
    @overload
    def __call__(self, service: Literal["s3"]) -> "S3Client": ...
    @overload
    def __call__(self, service: Literal["service-quotas"]) -> "ServiceQuotasClient": ...
    @overload
    def __call__(self, service: Literal["sns"]) -> "SNSClient": ...
    @overload
    def __call__(self, service: Literal["sqs"]) -> "SQSClient": ...
    @overload
    def __call__(self, service: Literal["sts"]) -> "STSClient": ...
    @overload
    def __call__(self, service: str) -> BaseClient: ...
    def __call__(self, service: str) -> Any:
        """The client of a service, by boto3's name of it, such as `sqs`."""
        if service not in self._made:
            self._made[service] = self._make(service)
        return self._made[service]
