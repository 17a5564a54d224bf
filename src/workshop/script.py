"""Calls that were made, written as a bash script of AWS CLI commands that makes them again elsewhere.

The calls are recorded while the steps (or the clean-up) run on an embedded AWS of their own. What they share is
found in the recording itself: a value that came with one answer and went out with a later call, such as an API's
id, becomes a variable that the script captures with `--query`. The account's number and the region become
variables as well, so nothing of the place of the recording is left.

A value is captured where its path in the answer can be told without knowing the value: by the keys that lead to
it, and in lists by a neighbour that is known beforehand (`items[?path=='/'].id`).
"""

import io
import re
import shlex
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from workshop.aws import Call
from workshop.awscli import render
from workshop.waiting import REFUSALS

#: What tells the entries of a list apart in AWS's answers, best first.
NEIGHBOURS = ("path", "name", "stageName", "Protocol", "FunctionArn", "EventSourceArn", "PolicyArn")
#: What is ours to choose is no value that has to be captured: only what AWS thinks up is.
INVENTED = re.compile(r"[a-z0-9]{6,12}|[0-9a-f]{8}-[0-9a-f-]{27}|https?://\S+|arn:\S+/stream/\S+|arn:\S+:[0-9a-f-]{36}")
#: What the script waits for after a call, and the variable part of the command.
WAITS = {
    ("dynamodb", "CreateTable"): ("dynamodb wait table-exists --table-name", "TableName"),
    ("dynamodb", "UpdateTable"): ("dynamodb wait table-exists --table-name", "TableName"),
    ("dynamodb", "DeleteTable"): ("dynamodb wait table-not-exists --table-name", "TableName"),
    ("lambda", "CreateFunction"): ("lambda wait function-active-v2 --function-name", "FunctionName"),
}
#: A trigger takes a while until it works, and the script waits for it by its id.
TRIGGERS = ("lambda", "CreateEventSourceMapping")
#: Calls that may come before a new role or right has spread.
HASTY = {
    ("lambda", "CreateFunction"), ("lambda", "CreateEventSourceMapping"), ("sqs", "CreateQueue"),
    ("sns", "CreateTopic"), ("apigateway", "PutIntegration"), ("iam", "AttachRolePolicy"),
}  # fmt: skip

HEAD = """\
#!/usr/bin/env bash
# {title}
#
# Written by `workshop cli-script` from the calls that the steps make. Needs the AWS CLI (version 1 or 2) and zip.
# Usage: {usage}
set -euo pipefail

REGION=${{AWS_REGION:-${{AWS_DEFAULT_REGION:-{region}}}}}
export AWS_REGION="$REGION" AWS_DEFAULT_REGION="$REGION" AWS_PAGER=""

# Version 1 of the AWS CLI overlooks AWS_ENDPOINT_URL for SQS; the option serves both versions.
aws() {{ command aws ${{AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"}} "$@"; }}
"""

RETRY = """
# A new role needs some seconds until every service knows it. Tries again on just these answers, for five minutes.
retry() {{
  local answer deadline=$((SECONDS + 300))
  until answer=$("$@" 2>&1); do
    if ! grep -qE {patterns} <<<"$answer" || ((SECONDS > deadline)); then
      printf '%s\\n' "$answer" >&2
      return 1
    fi
    sleep 2
  done
  printf '%s\\n' "$answer"
}}
"""

PACKAGES = """
PACKAGES=$(mktemp -d)
trap 'rm -rf "$PACKAGES"' EXIT
"""

TRIGGER = """
# Waits until a trigger works; the AWS CLI has no waiter for it.
wait_for_trigger() {
  local deadline=$((SECONDS + 300))
  until [ "$(aws lambda get-event-source-mapping --uuid "$1" --query State --output text)" = Enabled ]; do
    ((SECONDS < deadline)) || { echo "The trigger $1 does not get ready." >&2; return 1; }
    sleep 2
  done
}
"""

DROP = """
# Deletes something. That it is gone already is as good; a subscription that nobody confirmed goes with its topic.
drop() {
  local answer
  answer=$("$@" 2>&1) && return
  if ! grep -qE '(NotFound|NoSuchEntity|NonExistent|DoesNotExist|parameter: SubscriptionArn)' <<<"$answer"; then
    printf '%s\\n' "$answer" >&2
    return 1
  fi
}
"""


@dataclass
class Recorded:
    """A call, and where it belongs: the title of its step or resource."""

    call: Call
    part: str


@dataclass
class Script:
    """A script in the making.

    Attributes:
        account, region: of the recording; they become variables.
        recorded: all calls in order, those that only look among them.
        cleanup: whether it takes things away, and so must bear that some are gone.
    """

    account: str
    region: str
    recorded: list[Recorded]
    cleanup: bool = False
    variables: dict[str, str] = field(default_factory=dict)

    def text(self, title: str, usage: str, last_words: str) -> str:
        """The whole script, which ends with some words."""
        body = "\n".join(self._body())
        parts = [HEAD.format(title=title, usage=usage, region=self.region)]
        if "${ACCOUNT}" in body:
            parts.append("\nACCOUNT=$(aws sts get-caller-identity --query Account --output text)\n")
        if "retry " in body:
            messages = "|".join(row.message for row in REFUSALS if row.message and "role" in row.reason)
            patterns = "|".join(dict.fromkeys(messages.split("|")))
            parts.append(RETRY.format(patterns=shlex.quote(f"({patterns})")))
        parts += [PACKAGES] if "PACKAGES" in body else []
        parts += [TRIGGER] if "wait_for_trigger " in body else []
        parts += [DROP] if "drop " in body else []
        return "".join(parts) + f"{body}\n\necho {shlex.quote(last_words)}\n"

    def _body(self) -> Iterator[str]:
        needed = self._captured()
        part = ""
        for number, recorded in enumerate(self.recorded):
            call, captures = recorded.call, needed.get(number, {})
            if call.is_read and not captures:
                continue
            if recorded.part != part:
                part = recorded.part
                yield f"\n# {part}\necho {shlex.quote(part)}"
            yield from self._commands(call, captures)

    def _captured(self) -> dict[int, dict[str, str]]:
        """Find what calls take from earlier answers: `{number of the call that answered: {value: path}}`."""
        came_with = self._answers()
        found: dict[int, dict[str, str]] = {}
        wanted = [value for one in self.recorded if not one.call.is_read for value in _strings(one.call.parameters)]
        wanted += [
            one.call.answer["UUID"] for one in self.recorded if (one.call.service, one.call.operation) == TRIGGERS
        ]
        for value in wanted:
            # One call gives one value; what came with two answers is taken from the second then.
            number = next((n for n in came_with.get(value, []) if n not in found), None)
            if value in self.variables or number is None:
                continue
            call = self.recorded[number].call
            path = _path(call.answer, value)
            self.variables[value] = self._name(call, path)
            found.setdefault(number, {})[value] = path
            # An id that leads to another one must be captured as well.
            wanted += _strings(call.parameters)
        return found

    def _answers(self) -> dict[str, list[int]]:
        """Which calls' answers brought each of the values that AWS thought up, and not we, oldest first."""
        ours: set[str] = set()
        came_with: dict[str, list[int]] = {}
        for number, recorded in enumerate(self.recorded):
            ours |= {value for value in _strings(recorded.call.parameters) if value not in came_with}
            for value in _strings(recorded.call.answer):
                if INVENTED.fullmatch(value) and value not in ours and _path(recorded.call.answer, value):
                    came_with.setdefault(value, []).append(number)
        return came_with

    def _name(self, call: Call, path: str) -> str:
        """A variable's name, such as REST_API_ID; numbered if that is taken."""
        thing = re.sub(r"^(Create|Get|List|Describe)", "", call.operation)
        thing = re.sub(r"s$", "", thing) if call.is_read else thing
        last = re.split(r"[.\]]", path.removesuffix(" | [0]"))[-1]
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", f"{thing}_{last}").upper()
        # "QUEUE_URL_QUEUE_URL" says it twice.
        words = re.sub(r"^(\w+)_\1$", r"\1", words)
        taken = set(self.variables.values())
        return next(name for name in [words, *(f"{words}_{n}" for n in range(2, 99))] if name not in taken)

    def _commands(self, call: Call, captures: dict[str, str]) -> Iterator[str]:
        """The lines of one call: its package, itself with what is captured from its answer, and the wait after it."""
        yield from self._package(call)
        key = (call.service, call.operation)
        package = f"{call.parameters.get('FunctionName', 'function')}.zip"
        command = self._with_variables(render(call.service, call.operation, call.parameters, f"@PACKAGES@/{package}"))
        if re.search(r"\$(util|input|context|schema)", command):
            yield "# shellcheck disable=SC2016 # these variables are API Gateway's, not the shell's"
        if captures:
            ((value, path),) = captures.items()
            query = f" \\\n    --query {shlex.quote(path)} --output text"
            retry = "retry " if key in HASTY else ""
            # Where something is gone already, there is nothing to capture either.
            bear = " 2>/dev/null || true" if self.cleanup else ""
            yield f"{self.variables[value]}=$({retry}{command}{query}{bear})"
        elif self.cleanup:
            yield self._guarded(call, f"drop {command}")
        else:
            retry = "retry " if key in HASTY else ""
            yield f"{retry}{command} >/dev/null"
        if key in WAITS:
            wait, parameter = WAITS[key]
            yield self._with_variables(f"aws {wait} {shlex.quote(str(call.parameters[parameter]))}")
        if key == TRIGGERS:
            yield f'wait_for_trigger "${self.variables[next(iter(captures))]}"'

    def _guarded(self, call: Call, command: str) -> str:
        """Do nothing for what was not found; the CLI prints None for a query without a result."""
        names = [self.variables[v] for v in _strings(call.parameters) if v in self.variables]
        if not names:
            return command
        indented = command.replace("\n", "\n  ")
        return f'if [ -n "${names[0]}" ] && [ "${names[0]}" != None ]; then\n  {indented}\nfi'

    def _package(self, call: Call) -> Iterator[str]:
        package = call.parameters.get("ZipFile") or (call.parameters.get("Code") or {}).get("ZipFile")
        if not isinstance(package, bytes):
            return
        name = call.parameters["FunctionName"]
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            source = archive.read("index.py").decode()
        folder = self._with_variables(shlex.quote(f"@PACKAGES@/{name}"))
        yield f"mkdir {folder}"
        yield f"cat > {folder}/index.py <<'END_OF_SOURCE'\n{source.rstrip()}\nEND_OF_SOURCE"
        yield f"zip -jqX {folder}.zip {folder}/index.py"

    def _with_variables(self, command: str) -> str:
        """Put variables where the values of the recording stand, also within what bash quotes."""
        for value, name in sorted(self.variables.items(), key=lambda pair: -len(pair[0])):
            command = command.replace(value, f"@{name}@")
        command = command.replace(self.account, "@ACCOUNT@").replace(self.region, "@REGION@")
        return re.sub(r"'[^']*'|[^\s']+", lambda word: _expand(word[0]), command)


def _expand(word: str) -> str:
    """Turn `@NAME@` within a word of bash into the variable."""
    if not re.search(r"@[A-Z_0-9]+@", word):
        return word
    if word.startswith("'"):
        return re.sub(r"@([A-Z_0-9]+)@", r"""'"${\1}"'""", word).removeprefix("''").removesuffix("''")
    return re.sub(r"(\S*@[A-Z_0-9]+@\S*)", lambda m: '"' + re.sub(r"@([A-Z_0-9]+)@", r"${\1}", m[0]) + '"', word)


def _strings(value: Any) -> Iterator[str]:
    """All texts within a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _strings(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _strings(entry)


def _path(answer: Any, value: str) -> str:
    """The JMESPath of a value within an answer; an empty text if it is not there."""
    if isinstance(answer, dict):
        for key, entry in answer.items():
            if key == "ResponseMetadata":
                continue
            if entry == value:
                return str(key)
            below = _path(entry, value)
            if below:
                return f"{key}{below}" if below.startswith("[") else f"{key}.{below}"
    if isinstance(answer, list):
        for entry in answer:
            below = _path(entry, value)
            if below:
                return f"[{_filter(entry, value)}].{below} | [0]".replace(" | [0] | [0]", " | [0]")
    return ""


def _filter(entry: Any, value: str) -> str:
    """What tells an entry of a list from the others."""
    for key in NEIGHBOURS:
        neighbour = entry.get(key) if isinstance(entry, dict) else None
        if isinstance(neighbour, str) and neighbour != value:
            if neighbour.startswith("arn:"):
                # The account in it is another one elsewhere.
                return f"?ends_with({key}, '{neighbour.split(':', 5)[-1]}')"
            return f"?{key}=='{neighbour}'"
    return ""
