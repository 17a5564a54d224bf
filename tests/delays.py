"""An AWS that takes its time: what the embedded AWS does at once, it does as late as AWS does.

A rule of the fault layer (`faults.Faults`). It carries every call out, and for some seconds afterwards answers as AWS
does meanwhile: with states that pass, with refusals, with reads that show what was before. What it remembers lies in a
file, with the time, so that a process which was killed and the one that comes after it meet the same AWS.

The numbers are AWS's own where it publishes them, otherwise what people report; the time is virtual.
"""

import json
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.awsrequest import AWSResponse
from faults import XML_NAMESPACES, Clock, Faults, Sending, answer

#: Seconds for which a service may still show what was before the last change; API Gateway is not known for that.
READS_LAG = {"iam": 2.0, "sqs": 2.0, "sns": 2.0, "logs": 2.0, "dynamodb": 1.0, "lambda": 1.0}
#: Seconds until the tags of something new show up.
TAGS_LAG = 3.0
#: Seconds that a table, a function and a mapping take for each change.
TABLE, FUNCTION, MAPPING = 3.0, 2.0, 3.0
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
QUEUE_NAME_KEPT = 60.0
#: Seconds until a new role, and the rights it was given, are known elsewhere.
ROLE_SPREADS = 5.0
#: Seconds for which the tags of a deleted topic linger.
STALE_TAG = 4.0
#: Seconds between two calls: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
RATES = {"CreateRestApi": 3.0, "CreateDeployment": 5.0, "DeleteRestApi": 30.0}
#: Seconds that a call takes.
CALL = 0.05

#: The calls that read tags, and how an answer looks without them.
UNTAGGED: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("iam", "GetRole"): lambda xml: re.sub("<Tags>.*?</Tags>", "<Tags/>", xml, flags=re.DOTALL),
    ("sns", "ListTagsForResource"): lambda xml: re.sub("<Tags>.*?</Tags>", "<Tags/>", xml, flags=re.DOTALL),
    ("dynamodb", "ListTagsOfResource"): lambda found: {**found, "Tags": []},
    ("sqs", "ListQueueTags"): lambda found: {**found, "Tags": {}},
    ("logs", "ListTagsForResource"): lambda found: {**found, "tags": {}},
    ("lambda", "GetFunction"): lambda found: {**found, "Tags": {}},
    ("lambda", "ListTags"): lambda found: {**found, "Tags": {}},
    ("apigateway", "GetTags"): lambda found: {**found, "tags": {}},
}
#: What a resource is called in the call that makes it, or in the answer.
NAMES = ("RoleName", "TableName", "QueueName", "logGroupName", "FunctionName", "UUID", "Name", "id")
#: Reads of data, and not of how things are set up.
DATA = {"GetItem", "Scan", "FilterLogEvents", "GetRecords"}
#: Reads whose body the caller reads itself, once; API Gateway shows them without a delay.
STREAMED = {"GetExport"}


@dataclass
class Memory:
    """What an AWS remembers between two processes.

    Attributes:
        now: the time.
        at: when something happened last, by (what, to which).
        answers: the last answer to each read: when it was given, its status, headers and body.
        going: mappings and tables that are being deleted, as they were described.
    """

    now: float = 1_000.0
    at: dict[tuple[str, str], float] = field(default_factory=dict)
    answers: dict[tuple[str, str, str], tuple[float, int, dict[str, str], str]] = field(default_factory=dict)
    going: dict[tuple[str, str], Any] = field(default_factory=dict)


class SlowAws:
    """The rule: looks at a call, carries it out if AWS would, and answers as AWS would.

    Args:
        path: where its memory lies, or will lie.
        clock: the virtual clock; it goes on where the memory's ended.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path, self.clock = path, clock
        self.memory = pickle.loads(path.read_bytes()) if path.exists() else Memory()
        self.clock.now = max(clock.now, self.memory.now)
        self.asking = False

    def __call__(self, sending: Sending) -> AWSResponse | None:
        if self.asking or sending.service not in (*READS_LAG, "apigateway"):
            return None
        self.clock.now += CALL
        refused = self._refuse(sending)
        if refused is not None:
            return sending.refuse(*refused)
        if sending.mutating:
            self._before(sending)
            response = sending.carry_out()
            if response.status_code < 300:
                self._after(sending, response)
            self._save()
            return response
        return self._read(sending)

    def _save(self) -> None:
        self.memory.now = self.clock()
        self.path.write_bytes(pickle.dumps(self.memory))

    def _within(self, what: str, which: str, seconds: float) -> bool:
        """Whether something happened less than so many seconds ago."""
        return self.clock() < self.memory.at.get((what, which), float("-inf")) + seconds

    def _ask(self, sending: Sending, operation: str, **parameters: Any) -> Any:
        """Ask the embedded AWS how things really are."""
        self.asking = True
        try:
            return getattr(sending.client, operation)(**parameters)
        finally:
            self.asking = False

    # What AWS refuses.

    def _refuse(self, sending: Sending) -> tuple[int, str, str] | None:
        seconds = RATES.get(sending.operation)
        if seconds and self._within(sending.operation, "", seconds):
            return 429, "TooManyRequestsException", "Too Many Requests"
        refuse = getattr(self, f"_refuse_{sending.service}", lambda _: None)
        refused: tuple[int, str, str] | None = refuse(sending)
        return refused

    def _refuse_sqs(self, sending: Sending) -> tuple[int, str, str] | None:
        if sending.operation != "CreateQueue":
            return None
        if self._within("DeleteQueue", name_of(sending), QUEUE_NAME_KEPT):
            return 400, "QueueDeletedRecently", "You must wait 60 seconds after deleting a queue."
        if self._names_new_role(sending):
            return 400, "InvalidAttributeValue", "Invalid value for the parameter Policy."
        return None

    def _refuse_sns(self, sending: Sending) -> tuple[int, str, str] | None:
        if sending.operation != "CreateTopic":
            return None
        if self._within("DeleteTopic", name_of(sending), STALE_TAG):
            return 400, "StaleTag", "A tag has been added to a resource with the ARN of a deleted resource."
        if self._names_new_role(sending):
            return 400, "InvalidParameter", "Invalid parameter: Policy Error: PrincipalNotFound"
        return None

    def _refuse_dynamodb(self, sending: Sending) -> tuple[int, str, str] | None:
        name = name_of(sending)
        going = self._is_going("table", name, TABLE)
        match sending.operation:
            case "CreateTable" if going:
                return 400, "ResourceInUseException", f"Table already exists: {name}"
            case "UpdateTable" | "DeleteTable" if going or self._within("table", name, TABLE):
                return 400, "ResourceInUseException", f"Attempt to change a resource which is still in use: {name}"
            case "ListTagsOfResource" if self._is_going("table", sending.body.rpartition("/")[2].strip('"}'), TABLE):
                return 400, "ResourceNotFoundException", "Requested resource not found"
            case "UpdateTable" if '"StreamEnabled": true' in sending.body:
                table = self._ask(sending, "describe_table", TableName=name)["Table"]
                if table.get("StreamSpecification", {}).get("StreamEnabled"):
                    return 400, "ValidationException", f"Table already has an enabled stream: TableName: {name}"
        return None

    def _refuse_lambda(self, sending: Sending) -> tuple[int, str, str] | None:
        match sending.operation:
            case "CreateFunction" if self._names_new_role(sending):
                return 400, "InvalidParameterValueException", "The role … cannot be assumed by Lambda."
            case "UpdateFunctionCode" | "UpdateFunctionConfiguration" | "DeleteFunction":
                name = re.search(r"/functions/([^/?]+)", sending.request.url)
                if name and self._within("function", name[1], FUNCTION):
                    return 409, "ResourceConflictException", "… An update is in progress for resource: x"
            case "CreateEventSourceMapping":
                return self._refuse_mapping(sending, json.loads(sending.body))
            case "UpdateEventSourceMapping" | "DeleteEventSourceMapping":
                uuid = uuid_of(sending)
                if self._is_going("mapping", uuid, MAPPING) or self._within("mapping", uuid, MAPPING):
                    return 400, "ResourceInUseException", "Cannot change the event source mapping because it is in use."
            case "ListTags" if any(
                uuid in sending.request.url and self._is_going("mapping", uuid, MAPPING)
                for what, uuid in self.memory.going
                if what == "mapping"
            ):
                return 404, "ResourceNotFoundException", "The resource you requested does not exist."
        return None

    def _refuse_mapping(self, sending: Sending, wanted: dict[str, Any]) -> tuple[int, str, str] | None:
        if self._within("AttachRolePolicy", "", ROLE_SPREADS):
            message = "The provided execution role does not have permissions to call ReceiveMessage on SQS"
            return 400, "InvalidParameterValueException", message
        going = [one for (what, uuid), one in self.memory.going.items() if self._is_going(what, uuid, MAPPING)]
        standing = self._ask(sending, "list_event_source_mappings")["EventSourceMappings"]
        for one in [*going, *standing]:
            if one.get("EventSourceArn") == wanted["EventSourceArn"] and one["FunctionArn"].endswith(
                f":{wanted['FunctionName']}"
            ):
                return 409, "ResourceConflictException", f"… mapping already exists … with UUID {one['UUID']}"
        return None

    def _names_new_role(self, sending: Sending) -> bool:
        return any(
            what == "CreateRole" and role in sending.body and self._within(what, role, ROLE_SPREADS)
            for what, role in self.memory.at
        )

    def _is_going(self, what: str, which: str, seconds: float) -> bool:
        return (what, which) in self.memory.going and self._within(f"{what} goes", which, seconds)

    # What AWS remembers of a change.

    def _before(self, sending: Sending) -> None:
        """Before something is deleted, note how it was described."""
        if sending.operation == "DeleteEventSourceMapping":
            uuid = uuid_of(sending)
            listed = self._ask(sending, "list_event_source_mappings")["EventSourceMappings"]
            for one in listed:
                if one["UUID"] == uuid:
                    described = {**one, "State": "Deleting", "LastModified": one["LastModified"].timestamp()}
                    self.memory.going["mapping", uuid] = described
        if sending.operation == "DeleteTable":
            name = name_of(sending)
            arn = self._ask(sending, "describe_table", TableName=name)["Table"]["TableArn"]
            gone = {"TableName": name, "TableArn": arn, "TableStatus": "DELETING", "CreationDateTime": 1.7e9}
            self.memory.going["table", name] = gone

    def _after(self, sending: Sending, response: AWSResponse) -> None:
        now, at, operation = self.clock(), self.memory.at, sending.operation
        at["change", sending.service] = at[operation, ""] = now
        name = name_of(sending)
        at[operation, name] = now
        match operation:
            case "DeleteQueue" | "DeleteTopic":
                at[operation, re.split("[:/]", name)[-1]] = now
            case "CreateTable" | "UpdateTable":
                at["table", name] = now
            case "DeleteTable":
                at["table goes", name] = now
            case "CreateFunction":
                at["function", name] = now
            case "UpdateFunctionCode" | "UpdateFunctionConfiguration":
                at["function", json.loads(response.content)["FunctionName"]] = now
            case "CreateEventSourceMapping" | "UpdateEventSourceMapping":
                at["mapping", json.loads(response.content)["UUID"]] = now
            case "DeleteEventSourceMapping":
                at["mapping goes", uuid_of(sending)] = now
        if operation.startswith("Create"):
            for token in {name, *tokens_of(sending, response)} - {""}:
                at["born", token] = now

    # What AWS answers to reads.

    def _read(self, sending: Sending) -> AWSResponse:
        key = sending.service, sending.request.url, sending.body
        known = self.memory.answers.get(key)
        changed = self.memory.at.get(("change", sending.service), float("-inf"))
        lag = READS_LAG.get(sending.service, 0.0)
        if known and known[0] < changed and self.clock() < changed + lag and sending.operation not in DATA:
            sending.outcome = "rewritten"
            _, status, headers, body = known
            return answer(sending.request.url, status, headers, body)
        response = sending.carry_out()
        if sending.operation in STREAMED:
            return response
        keep = ("content-type", "x-amzn-requestid", "x-amzn-errortype", "x-amzn-query-error")
        headers = {name: value for name, value in response.headers.items() if name.lower() in keep}
        before = response.content.decode()
        status, body = self._as_of_now(sending, response.status_code, before)
        self.memory.answers[key] = self.clock(), status, headers, body
        if (status, body) == (response.status_code, before):
            return response
        sending.outcome = "rewritten"
        return answer(sending.request.url, status, headers, body)

    def _as_of_now(self, sending: Sending, status: int, body: str) -> tuple[int, str]:
        """What a read shows while a change takes its time."""
        name, operation = name_of(sending), sending.operation
        if operation == "DescribeTable" and self._is_going("table", name, TABLE):
            return 200, json.dumps({"Table": self.memory.going["table", name]})
        if status >= 300:
            return status, body
        untag = UNTAGGED.get((sending.service, operation))
        where = sending.request.url + sending.body
        if untag and any(
            what == "born" and token in where and self._within(what, token, TAGS_LAG) for what, token in self.memory.at
        ):
            body = untag(body) if sending.service in XML_NAMESPACES else json.dumps(untag(json.loads(body)))
        if operation == "DescribeTable" and self._within("table", name, TABLE):
            new = self._within("CreateTable", name, TABLE)
            found = json.loads(body)
            found["Table"]["TableStatus"] = "CREATING" if new else "UPDATING"
            return status, json.dumps(found)
        if operation == "GetFunction":
            return status, self._function_of_now(body)
        if operation == "ListEventSourceMappings":
            return status, self._mappings_of_now(body)
        return status, body

    def _function_of_now(self, body: str) -> str:
        found = json.loads(body)
        name = found["Configuration"]["FunctionName"]
        if not self._within("function", name, FUNCTION):
            return body
        new = self._within("CreateFunction", name, FUNCTION)
        found["Configuration"].update({"State": "Pending"} if new else {"LastUpdateStatus": "InProgress"})
        return json.dumps(found)

    def _mappings_of_now(self, body: str) -> str:
        found = json.loads(body)
        listed = found["EventSourceMappings"]
        for one in listed:
            if self._within("mapping", one["UUID"], MAPPING):
                one["State"] = "Creating"
        going = [
            one
            for (what, uuid), one in self.memory.going.items()
            if what == "mapping" and self._is_going(what, uuid, MAPPING)
        ]
        return json.dumps({**found, "EventSourceMappings": [*listed, *going]}) if listed or going else body


def name_of(sending: Sending) -> str:
    """What a call is about, by the name in its parameters; an empty text if it has none there."""
    for name in (*NAMES, "QueueUrl", "TopicArn"):
        found = re.search(rf'"{name}": ?"([^"]+)"', sending.body) or re.search(rf"(?:^|&){name}=([^&]+)", sending.body)
        if found:
            return re.split("[/]", found[1])[-1] if name == "QueueUrl" else found[1].replace("%3A", ":")
    return ""


def uuid_of(sending: Sending) -> str:
    """The mapping that a call is about."""
    return re.split("[/?]", sending.request.url.rstrip("/").partition("event-source-mappings/")[2])[0]


def tokens_of(sending: Sending, response: AWSResponse) -> set[str]:
    """By what an answer to a creation calls the new thing."""
    if sending.service in XML_NAMESPACES:
        return set()
    made = json.loads(response.content.decode() or "{}")
    return {str(made[name]) for name in NAMES if name in made}


def slow_aws(ws: Any, path: Path) -> SlowAws:
    """Put an AWS that takes its time before the clients of a context, which waits in virtual time from now on."""
    clock = Clock()
    ws.waiter.clock, ws.waiter.sleep = clock, clock.sleep
    rule = SlowAws(path, clock)
    Faults(clock).attach(ws.client).rules.append(rule)
    return rule
