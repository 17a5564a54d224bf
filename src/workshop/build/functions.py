"""What every Lambda function and its trigger have in common once they are created.

The lessons show the rest: the call that creates a function, its settings and what they are for.
"""

from collections.abc import Mapping
from typing import Any, Literal

from workshop.aws.owner import Description
from workshop.base.errors import WorkshopError
from workshop.build.checks import Finding, equal, holds
from workshop.build.context import Workshop
from workshop.build.function_code import deployed, packed
from workshop.build.resource import Resource
from workshop.build.step import Step

#: AWS Graviton processors cost less than x86 for the same work.
ARCHITECTURES: list[Literal["arm64"]] = ["arm64"]
#: States of a trigger that is enabled or about to be.
WATCHING = ("Enabled", "Enabling", "Creating", "Updating")


def is_ready(configuration: Mapping[str, Any]) -> bool:
    """Return whether Lambda has finished creating or updating a function.

    For the states, see https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html

    Raises:
        WorkshopError: the creation or update failed.
    """
    states = (configuration.get("State", "Active"), configuration.get("LastUpdateStatus", "Successful"))
    if "Failed" in states:
        reason = configuration.get("LastUpdateStatusReason") or configuration.get("StateReason") or "no reason given"
        raise WorkshopError(
            f"Lambda could not set up {configuration['FunctionName']}: {reason}.", "Run the step again."
        )
    return states == ("Active", "Successful")


def converge_function(ws: Workshop, function: Resource, configuration: dict[str, Any], source: str) -> None:
    """Wait until a function is active, and update its configuration and code if they differ.

    Args:
        ws: the context.
        function: what `ensure` found or made.
        configuration: as `CreateFunction` and `UpdateFunctionConfiguration` take it.
        source: the text of its `index.py`.
    """
    lambda_ = ws.client("lambda")

    def wait() -> None:
        # Lambda rejects another update while one is in progress.
        function.wait(
            lambda: is_ready(lambda_.get_function(FunctionName=function.name)["Configuration"]),
            f"Lambda is setting up {function.name}",
            300,
        )

    def update_configuration(changed: dict[str, Any]) -> None:
        lambda_.update_function_configuration(FunctionName=function.name, **changed)
        wait()

    def update_code(_: dict[str, Any]) -> None:
        lambda_.update_function_code(FunctionName=function.name, ZipFile=packed(source), Architectures=ARCHITECTURES)
        wait()

    def code() -> dict[str, Any]:
        running = deployed(function.found, source, ws.client.ca_bundle)
        return {"Code": running, "Architectures": function["Architectures"]}

    if function.result == "created":
        wait()
    function.converge(configuration, update_configuration)
    function.converge({"Code": source, "Architectures": ARCHITECTURES}, update_code, read=code)


def trigger_between(ws: Workshop, base: str, event_source: str) -> Description | None:
    """Return the event source mapping between a queue or stream and a function, whoever created it, or None.

    Args:
        ws: the context.
        base: the function's name before the prefix.
        event_source: the ARN of the queue or the stream.
    """
    mappings = ws.find_anybodys("event-source-mapping", base)
    return next((one for one in mappings if one["EventSourceArn"] == event_source), None)


def converge_trigger(ws: Workshop, mapping: Resource, settings: dict[str, Any]) -> None:
    """Update a trigger's settings if they differ, enable it, and wait until it is enabled.

    Args:
        ws: the context.
        mapping: what `ensure` found or made.
        settings: as `CreateEventSourceMapping` and `UpdateEventSourceMapping` take them.
    """
    lambda_, base = ws.client("lambda"), mapping.base

    def actual() -> dict[str, Any]:
        failures = mapping.found.get("DestinationConfig", {}).get("OnFailure", {})
        return mapping.found | {
            "Enabled": mapping["State"] in WATCHING,
            # AWS also returns an empty OnSuccess destination.
            "DestinationConfig": {"OnFailure": failures},
        }

    mapping.converge(
        settings | {"Enabled": True},
        lambda changed: lambda_.update_event_source_mapping(UUID=mapping["UUID"], **changed),
        read=actual,
    )
    if mapping.result in ("created", "updated"):
        mapping.wait(
            lambda: (trigger_between(ws, base, mapping["EventSourceArn"]) or {}).get("State") == "Enabled",
            f"the trigger of {mapping.name} is being set up",
            300,
        )


def our_trigger(ws: Workshop, base: str, event_source: str) -> Description:
    """Return our trigger between a queue or stream and a function; empty if there is none."""
    mappings = ws.find_all("event-source-mapping", base)
    return next((one for one in mappings if one["EventSourceArn"] == event_source), {})


def check_function(step: Step, base: str, *, role: str, source: str, seconds: int, megabytes: int) -> None:
    """Declare the checks that every function of the workshop has.

    Args:
        step: the step that declares them.
        base: the function's name before the prefix.
        role: its role's name before the prefix.
        source: the path of its code in this repository.
        seconds: the minimum timeout.
        megabytes: the minimum memory.
    """

    @step.check(f"{base} is ready")
    def ready(ws: Workshop) -> Finding:
        return equal(ws.need("function", base)["State"], "Active")

    @step.check(f"{base} runs python3.13 on arm64")
    def runtime(ws: Workshop) -> Finding:
        function = ws.need("function", base)
        return equal([function["Runtime"], *function["Architectures"]], ["python3.13", *ARCHITECTURES])

    @step.check(f"{base} runs the code of this repository")
    def code(ws: Workshop) -> Finding:
        same = deployed(ws.need("function", base), ws.source(source), ws.client.ca_bundle) == ws.source(source)
        return holds(same, "the same" if same else "different code", source)

    @step.check(f"the handler of {base} is index.handler")
    def handler(ws: Workshop) -> Finding:
        return equal(ws.need("function", base)["Handler"], "index.handler")

    @step.check(f"{base} has its own role")
    def own_role(ws: Workshop) -> Finding:
        return equal(ws.need("function", base)["Role"], ws.arn("iam", f"role/{ws.name(role)}"))

    @step.check(f"{base} has enough time and memory")
    def sized(ws: Workshop) -> Finding:
        function = ws.need("function", base)
        found = {key: function[key] for key in ("Timeout", "MemorySize")}
        enough = function["Timeout"] >= seconds and function["MemorySize"] >= megabytes
        return holds(enough, found, f"at least {seconds} seconds and {megabytes} MB")
