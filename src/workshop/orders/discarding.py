"""Decide when a dead-letter message may be deleted: when the unmodified function or API rejects it as invalid.

Someone may have edited the code of POC-Lambda-1 or the API's model, so what they reject proves nothing. A log line
counts only if the current code wrote it.
"""

from datetime import datetime
from typing import Any

from workshop.base.errors import WorkshopError
from workshop.build.checks import typed
from workshop.build.opening import OpenWorkshop
from workshop.build.step import INCOMPLETE, Resource

#: The resources that validate orders, and the settings that matter.
VALIDATION_SETTINGS = {
    "function": {"Code", "Handler", "Runtime"},
    "request-model": {"schema"},
    "request-validator": {"validateRequestBody"},
    "method": {"requestValidatorId", "requestModels", "requestTemplates"},
    "stage": {"deployment", "uri", "credentials", "canarySettings"},
}
#: The steps that create them.
VALIDATING_STEPS = ("lambda_1", "api")
#: Seconds for which a function's old code may run after an update: the update takes seconds, and an invocation ends
#: at its timeout at the latest.
#: https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
OLD_CODE_ENDS_WITHIN = 60.0


def require_unmodified_validation(ws: OpenWorkshop) -> None:
    """Require that the function's code and the API's model and validator are the workshop's own.

    Raises:
        WorkshopError: one was changed. The remedy names the step that restores it.
    """
    for step in (one for one in ws.steps if one.name in VALIDATING_STEPS):
        for resource in step.examine(ws):
            if changes := _modified(resource):
                raise WorkshopError(
                    f"Nothing is discarded: the {resource.kind} {resource.name} isn't as the workshop creates it"
                    f" ({changes}), so orders that it rejects may be valid.",
                    resource.foreign.remedy if resource.foreign else f"Run: {typed(ws, step.command)}",
                )


def _modified(resource: Resource) -> str:
    """Return how a resource that validates orders was changed; empty if it wasn't."""
    settings = VALIDATION_SETTINGS.get(resource.kind)
    if settings is None:
        return ""
    if resource.result == "missing":
        return "missing"
    differs = [one.setting for one in resource.differences if one.setting in settings | {INCOMPLETE}]
    return f"{', '.join(differs)} differs" if differs else ""


def current_code_since(ws: OpenWorkshop) -> float:
    """Return the time after which only the current code of POC-Lambda-1 wrote log lines, in seconds since 1970."""
    function = ws.need("function", "POC-Lambda-1")
    return datetime.fromisoformat(function["LastModified"]).timestamp() + OLD_CODE_ENDS_WITHIN


def logged_after(line: dict[str, Any], since: float) -> bool:
    """Return whether a log line is newer than a time. A line without a time isn't."""
    time = line.get("time")
    return isinstance(time, int | float) and time / 1000 > since
