"""Calls that were made, written as a bash script of AWS CLI commands that makes them again elsewhere.

The calls are recorded while the steps (or the clean-up) run on an embedded AWS of their own. What they share is
found in the recording itself: a value that came with one answer and went out with a later call, such as an API's
id, becomes a variable that the script captures with `--query`. The account's number and the region become
variables as well, so nothing of the place of the recording is left.

The script may be stopped anywhere and run again: it looks for each thing before it creates it, as the steps do, and
it changes and deletes only what is marked as its own.
"""

import io
import re
import shlex
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from workshop.aws.clients import Call
from workshop.aws.waiter import REFUSALS
from workshop.awscli import bash
from workshop.awscli.captures import TRIGGER, Recorded, captures, strings
from workshop.awscli.render import WIDTH, render
from workshop.awscli.variables import Variables
from workshop.base.settings import PROJECT
from workshop.kinds.regions import mark

#: What the script waits for after a call, and the variable part of the command.
WAITS = {
    "CreateTable": ("dynamodb wait table-exists --table-name", "TableName"),
    "UpdateTable": ("dynamodb wait table-exists --table-name", "TableName"),
    "DeleteTable": ("dynamodb wait table-not-exists --table-name", "TableName"),
    "CreateFunction": ("lambda wait function-active-v2 --function-name", "FunctionName"),
}
#: Calls that may come before a new role or right has spread.
HASTY = {"CreateFunction", TRIGGER, "CreateQueue", "CreateTopic", "PutIntegration", "AttachRolePolicy"}
#: Calls that create, or take away, something with a name and tags: its kind, and the parameter that names it.
NAMED = {
    "CreatePolicy": ("policy", "PolicyName"), "DeletePolicy": ("policy", "PolicyArn"),
    "CreateRole": ("role", "RoleName"), "DetachRolePolicy": ("role", "RoleName"), "DeleteRole": ("role", "RoleName"),
    "CreateTable": ("table", "TableName"), "DeleteTable": ("table", "TableName"),
    "CreateQueue": ("queue", "QueueName"), "DeleteQueue": ("queue", "QueueUrl"),
    "CreateLogGroup": ("log-group", "logGroupName"), "DeleteLogGroup": ("log-group", "logGroupName"),
    "CreateFunction": ("function", "FunctionName"), "DeleteFunction": ("function", "FunctionName"),
    "CreateTopic": ("topic", "Name"), "DeleteTopic": ("topic", "TopicArn"), "Unsubscribe": ("topic", "SubscriptionArn"),
    "DeleteEventSourceMapping": ("trigger", "UUID"),
}  # fmt: skip
#: How everything else is found that would be created twice: the options of a command, and what to ask of its answer.
#: Words in braces are the call's own parameters.
OF_API = "--rest-api-id {restApiId} --limit 500"
OUR_API = "items[?name=='{name}' && tags.Project=='{PROJECT}' && tags.Participant=='{PARTICIPANT}'].id | [0]"
LOOKUPS = {
    TRIGGER: (
        "lambda list-event-source-mappings --function-name {FunctionName} --event-source-arn {EventSourceArn}",
        "EventSourceMappings[?State!='Deleting'].UUID | [0]",
    ),
    "UpdateTable": (
        "dynamodb describe-table --table-name {TableName}",
        "Table.StreamSpecification.StreamEnabled && Table.LatestStreamArn",
    ),
    "CreateRestApi": ("apigateway get-rest-apis --limit 500", OUR_API),
    "CreateModel": (f"apigateway get-models {OF_API}", "items[?name=='{name}'].id | [0]"),
    "CreateRequestValidator": (f"apigateway get-request-validators {OF_API}", "items[?name=='{name}'].id | [0]"),
    "CreateResource": (f"apigateway get-resources {OF_API}", "items[?path=='/{pathPart}'].id | [0]"),
    "CreateDeployment": (f"apigateway get-deployments {OF_API}", "items[?description=='{description}'].id | [0]"),
}
#: Parts of an API that AWS refuses to create twice.
PARTS = {"PutMethod", "PutMethodResponse"}


@dataclass
class Script:
    """A script in the making.

    Attributes:
        account, region: of the recording; they become variables.
        participant: whose resources it makes or takes away.
        recorded: all calls in order, those that only look among them.
        cleanup: whether it takes things away, and so must bear that some are gone.
    """

    account: str
    region: str
    participant: str
    recorded: list[Recorded]
    cleanup: bool = False
    variables: Variables = field(init=False)

    def __post_init__(self) -> None:
        calls = [one.call for one in self.recorded]
        texts = [text for call in calls for text in (*strings(call.parameters), *strings(call.answer))]
        self.variables = Variables(self.account, self.region, texts)

    def text(self, title: str, usage: str, last_words: str) -> str:
        """The whole script, which ends with some words."""
        body = "\n".join(self._body())
        parts = [bash.HEAD, bash.STANDS if self.cleanup else bash.MISSING]
        parts += [bash.RETRY] if "retry " in body else []
        parts += [bash.TRIGGER] if "wait_for_trigger " in body else []
        parts += [] if self.cleanup else [bash.FIRST]
        messages = "|".join(row.message for row in REFUSALS if row.message and "role" in row.reason)
        again = "Run it again if it was stopped: it goes on where it stopped, and leaves alone what is not its own."
        words = {
            "TITLE": title,
            "AGAIN": again,
            "USAGE": usage,
            "REGION": self.region,
            "PROJECT": PROJECT,
            "PARTICIPANT": self.participant,
            "MARK": mark("$REGION"),
            "NOT FOUND": bash.NOT_FOUND,
            "PATTERNS": shlex.quote(f"({'|'.join(dict.fromkeys(messages.split('|')))})"),
            "POLICIES": " ".join(self._names("CreatePolicy")),
            "ROLES": " ".join(self._names("CreateRole")),
        }
        head = re.sub(r"<([A-Z ]+)>", lambda word: words[word[1]], "".join(parts))
        return f"{head}{body}\n\necho {shlex.quote(last_words)}\n"

    def _names(self, operation: str) -> list[str]:
        calls = [one.call for one in self.recorded if one.call.operation == operation]
        return [shlex.quote(call.parameters[NAMED[operation][1]]) for call in calls]

    def _body(self) -> Iterator[str]:
        needed = captures(self.recorded, self.variables, self.cleanup)
        part = guard = ""
        for number, recorded in enumerate(self.recorded):
            call, values = recorded.call, needed.get(number, {})
            if call.is_read and not values:
                continue
            # What is deleted under the same condition stands together.
            before, guard = guard, "" if call.is_read else self._guard(call)
            if before and guard != before:
                yield "fi"
            if recorded.part != part:
                part = recorded.part
                yield f"\n# {part}\necho {shlex.quote(part)}"
            if guard and guard != before:
                yield f"if {guard}; then"
            for line in self._commands(call, values):
                yield f"  {_indented(line)}" if guard else line
        if guard:
            yield "fi"

    def _guard(self, call: Call) -> str:
        """The condition under which something is deleted; empty for what is not."""
        if not self.cleanup:
            return ""
        if call.operation == "DeleteRestApi":
            return f'! none "${self.variables.names[call.parameters["restApiId"]]}"'
        kind, parameter = NAMED[call.operation]
        value = call.parameters[parameter]
        if kind == "trigger":
            name = f"${self.variables.names[value]}"
            return f'! none "{name}" && stands trigger "{name}"'
        # The name within an ARN or a URL; a log group's has slashes of its own.
        fields = value.split(":", 6)
        name = fields[5] if len(fields) > 5 else value
        return f"stands {kind} {shlex.quote(name if kind == 'log-group' else name.rpartition('/')[2])}"

    def _commands(self, call: Call, values: dict[str, str]) -> Iterator[str]:
        """The lines of one call: its package, itself with what is captured from its answer, and the wait after it."""
        yield from self._package(call)
        operation, quote = call.operation, self.variables.quote
        package = f"{self.variables.stand_in('WORK')}/{call.parameters.get('FunctionName', 'function')}.zip"
        command = render(call.service, operation, self.variables.parameters(call), package, quote)
        ((value, path),) = values.items() or (("", ""),)
        variable = self.variables.names.get(value, "")
        if operation == "GetRestApis":
            command, path = "aws apigateway get-rest-apis --limit 500", self._of_ours(call.answer, value)
        if values:
            command += f" \\\n    --query {_double_quoted(path)} --output text"
        if re.search(r"\$(util|input|context|schema)", command):
            yield "# shellcheck disable=SC2016 # these variables are API Gateway's, not the shell's"
        if self.cleanup:
            # Where something is gone already, there is nothing to capture either.
            yield f"{variable}=$({command} 2>/dev/null || true)" if values else f"drop {command}"
        else:
            helper = "part " if operation in PARTS else "retry " if operation in HASTY else ""
            silence = "" if operation in PARTS else " >/dev/null"
            line = f"{variable}=$({helper}{command})" if values else f"{helper}{command}{silence}"
            yield from self._unless_there(call, variable, line)
        if operation in WAITS:
            wait, parameter = WAITS[operation]
            yield f"aws {wait} {quote(str(call.parameters[parameter]))}"
        if operation == TRIGGER:
            yield f'wait_for_trigger "${variable}"'

    def _unless_there(self, call: Call, variable: str, line: str) -> Iterator[str]:
        """A line of the script that runs only where what it creates is missing."""
        if call.operation in LOOKUPS:
            lookup = f"$({self._lookup(call)})"
            if variable:
                yield f"{variable}={lookup}"
            condition = f'none "${variable}"' if variable else f'none "{lookup}"'
        elif call.operation in NAMED:
            kind, parameter = NAMED[call.operation]
            condition = f"missing {kind} {shlex.quote(call.parameters[parameter])}"
        else:
            yield line
            return
        yield f"if {condition}; then"
        yield f"  {_indented(line)}"
        yield "fi"

    def _lookup(self, call: Call) -> str:
        """The command that finds what a call creates."""
        options, query = LOOKUPS[call.operation]
        parameters, quote = self.variables.parameters(call), self.variables.quote
        words = {key: value for key, value in parameters.items() if isinstance(value, str)}
        words |= {"PROJECT": PROJECT, "PARTICIPANT": self.participant}
        # A word becomes one word of bash, whatever it holds.
        options = re.sub(r"\{(\w+)\}", lambda word: quote(words[word[1]]), options)
        query = re.sub(r"\{(\w+)\}", lambda word: words[word[1]], query)
        if len(options) > WIDTH:
            options = options.replace(" --", " \\\n    --")
        return f"aws {options} \\\n    --query {_double_quoted(query)} --output text"

    def _of_ours(self, answer: dict[str, Any], value: str) -> str:
        """How our API is found among those of its name."""
        api = next(one for one in answer["items"] if value in one.values())
        return OUR_API.format(name=api["name"], PROJECT=PROJECT, PARTICIPANT=self.participant)

    def _package(self, call: Call) -> Iterator[str]:
        package = call.parameters.get("ZipFile") or (call.parameters.get("Code") or {}).get("ZipFile")
        if not isinstance(package, bytes):
            return
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            source = archive.read("index.py").decode()
        folder = self.variables.quote(f"{self.variables.stand_in('WORK')}/{call.parameters['FunctionName']}")
        yield f"mkdir {folder}"
        yield f"cat > {folder}/index.py <<'END_OF_SOURCE'\n{source.rstrip()}\nEND_OF_SOURCE"
        yield f"zip -jqX {folder}.zip {folder}/index.py"


def _indented(line: str) -> str:
    """A command within an `if`; what stands in quotes keeps its own lines."""
    return line.replace(" \\\n", " \\\n  ")


def _double_quoted(query: str) -> str:
    """A query in double quotes, so that the single ones in it need no more quoting."""
    return f'"{query}"' if re.fullmatch(r'[^"$`\\]*', query) else shlex.quote(query)
