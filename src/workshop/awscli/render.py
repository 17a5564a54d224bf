"""A boto3 call, written as the AWS CLI command that does the same.

Nothing here knows any command by heart: names, types and nesting come from botocore's model of the service, from
which the AWS CLI is made as well. Where the CLI departs from the model, `RENAMED` and the zip file say so.

Simple values are written in the CLI's shorthand, since people read it; whatever could be misread is JSON.
"""

import json
import re
import shlex
from collections.abc import Callable
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.model import OperationModel, Shape

#: Options that the CLI calls otherwise, since it has an option of that name for itself:
#: https://docs.aws.amazon.com/cli/latest/reference/sns/subscribe.html
RENAMED = {
    ("sns", "Subscribe", "Endpoint"): "notification-endpoint",
    ("apigateway", "CreateRestApi", "version"): "api-version",
}
#: What can stand in shorthand, or as one of several words, without being taken for something else.
PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_.:/*+-]*")
#: The CLI takes such texts for the name of a file or page whose content it should send.
FETCHED = re.compile(r"(file|fileb|https?)://")
#: … but for these, of which it knows that they are addresses.
NOT_FETCHED = ("QueueUrl", "Endpoint")
WIDTH = 100

_session = botocore.session.Session()


class _Unwritable(Exception):
    """A value that none of the CLI's own options can carry."""


def render(
    service: str,
    operation: str,
    parameters: dict[str, Any],
    zip_file: str = "function.zip",
    quote: Callable[[str], str] = shlex.quote,
) -> str:
    """Write a call as a command for bash.

    Args:
        service: boto3's name of the service, such as `sqs`.
        operation: the operation's name in AWS's model, such as `CreateQueue`.
        parameters: what boto3 was given.
        zip_file: what the file is called that holds the bytes of a function's package.
        quote: makes a word of bash out of a text.

    Returns:
        The command, over several lines if it is long.
    """
    model = _session.get_service_model(service).operation_model(operation)
    words = ["aws", service, xform_name(operation, "-")]
    try:
        options = [_option(model, name, value, zip_file, quote) for name, value in parameters.items()]
    except _Unwritable:
        packages = {name: value for name, value in parameters.items() if _is_package(value)}
        rest = {name: value for name, value in parameters.items() if name not in packages}
        options = [_option(model, name, value, zip_file, quote) for name, value in packages.items()]
        options.append(f"--cli-input-json {quote(_json(rest))}")
    line = " ".join([*words, *options])
    if len(line) <= WIDTH or len(options) < 2:
        return line
    return " \\\n    ".join([" ".join(words), *options])


def _option(model: OperationModel, name: str, value: Any, zip_file: str, quote: Callable[[str], str]) -> str:
    """One parameter as an option with its value, quoted for bash."""
    assert model.input_shape is not None
    shape = model.input_shape.members[name]
    renamed = RENAMED.get((model.service_model.service_name, model.name, name))
    option = f"--{renamed or xform_name(name, '-')}"
    if isinstance(value, dict) and isinstance(value.get("ZipFile"), bytes):
        # The CLI takes a function's package with an option of its own.
        return f"--zip-file {quote(f'fileb://{zip_file}')}"
    if shape.type_name == "blob":
        return f"{option} {quote(f'fileb://{zip_file}')}"
    if shape.type_name == "boolean":
        return option if value else f"--no-{option[2:]}"
    if shape.type_name == "string" and FETCHED.match(value) and name not in NOT_FETCHED:
        raise _Unwritable
    return _join(option, _words(shape, value), quote)


def _is_package(value: Any) -> bool:
    """Whether a value is the bytes of a function's package, or holds them."""
    return isinstance(value.get("ZipFile") if isinstance(value, dict) else value, bytes)


def _join(option: str, words: list[str], quote: Callable[[str], str]) -> str:
    if len(words) == 1 and words[0].startswith("-"):
        return f"{option}={quote(words[0])}"
    return " ".join([option, *map(quote, words)])


def _words(shape: Shape, value: Any) -> list[str]:
    """A value as the words behind its option."""
    if shape.type_name == "string":
        return [value]
    if shape.type_name in ("integer", "long", "float", "double"):
        return [str(value)]
    if shape.type_name == "list" and value:
        if all(_is_plain(one) for one in value):
            return [str(one) for one in value]
        if all(isinstance(one, dict) for one in value) and all(_is_flat(one) for one in value):
            return [_shorthand(one) for one in value]
    if isinstance(value, dict) and value and _is_flat(value):
        return [_shorthand(value)]
    return [_json(value)]


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) and PLAIN.fullmatch(value) is not None and not FETCHED.match(value)


def _is_flat(value: dict[str, Any]) -> bool:
    """Whether shorthand says a structure or map without nesting and without special characters."""
    return bool(value) and all(
        _is_plain(key) and ":" not in key and (isinstance(one, int) or _is_plain(one)) for key, one in value.items()
    )


def _shorthand(value: dict[str, Any]) -> str:
    return ",".join(f"{key}={_scalar(one)}" for key, one in value.items())


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
