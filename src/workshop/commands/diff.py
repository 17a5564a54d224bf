"""`workshop diff`: compare what is built with what the steps would build, setting by setting.

Only the steps know what they would build. So they build it, with the same names, on a temporary embedded AWS, which
takes two or three seconds.
"""

import dataclasses
import json
from typing import Any

from workshop.base.console import Console
from workshop.base.errors import WorkshopError
from workshop.base.settings import LOCAL_EMAIL
from workshop.build.boundary import bring_boundary
from workshop.build.describe import Described, compare, describe
from workshop.build.opening import OpenWorkshop, open_workshop
from workshop.build.resource import Difference
from workshop.embedded import passing

#: Values that AWS derives itself and the embedded AWS doesn't.
AWS_DECIDES = (
    "WarmThroughput.",
    "EffectiveDeliveryPolicy",
    "methodIntegration.connectionType",
    "SnapStart.OptimizationStatus",
)


def diff(ws: OpenWorkshop) -> dict[str, Any]:
    """Compare every setting with what the steps would build.

    It works the same for a system built by CloudFormation, by a script or by hand. It ignores settings that only real
    AWS returns, and additional subscribers of the topic.

    Example: workshop diff --prefix alice
    """
    with ws.console.working("reading the current settings"):
        current = describe(ws)
    with ws.console.working("running the steps on a temporary embedded AWS"):
        should = what_the_steps_build(ws, subscriber_of(ws, current))
    current = {name: one for name, one in current.items() if name in should or not name.startswith("subscription ")}
    if not ws.is_embedded:
        should = {name: without(one, AWS_DECIDES) for name, one in should.items()}
    found = compare(current, should, extras_count=ws.is_embedded)
    rows = [
        (name.partition(" ")[0], name.partition(" ")[2], difference)
        for name, differences in found.items()
        for difference in differences
    ]
    if not rows:
        ws.console.say(f"No differences in {len(should)} resources.")
        return {"compared": len(should), "differences": []}
    ws.console.table(
        f"Differences for {ws.settings.participant} in {ws.account}, {ws.region}",
        ("Kind", "Name", "Difference"),
        [(kind, name, as_text(difference)) for kind, name, difference in rows],
    )
    ws.console.say(f"{len(rows)} settings differ in {len(found)} of {len(should)} resources.")
    return {
        "compared": len(should),
        "differences": [
            {"kind": kind, "name": name, "setting": d.setting, "is": d.is_, "should": d.should}
            for kind, name, d in rows
        ],
    }


def differs(document: dict[str, Any], **_: Any) -> WorkshopError | None:
    """Return the error to exit with if something differs."""
    if not document["differences"]:
        return None
    first = document["differences"][0]
    words = as_text(Difference(first["setting"], first["is"], first["should"]))
    return WorkshopError(
        f"{len(document['differences'])} settings differ, the first in {first['kind']} {first['name']}: {words}.",
        "To restore the steps' settings: workshop up",
    )


def as_text(difference: Difference) -> str:
    """Return a difference as text, with `not set` for a missing value."""
    values = ["not set" if value is None else value for value in (difference.is_, difference.should)]
    return str(Difference(difference.setting, *values))


def subscriber_of(ws: OpenWorkshop, current: dict[str, Described]) -> str:
    """Return the e-mail address to expect: the one in the settings, or the current subscriber's."""
    subscribers = [one["Endpoint"] for name, one in current.items() if name.startswith("subscription ")]
    return ws.settings.email or next(iter(subscribers), LOCAL_EMAIL)


def without(settings: Described, names: tuple[str, ...]) -> Described:
    """Return the settings whose names don't start with any of `names`."""
    return {name: value for name, value in settings.items() if not name.startswith(names)}


def what_the_steps_build(ws: OpenWorkshop, email: str) -> dict[str, Described]:
    """Run the steps for the same participant on a temporary embedded AWS, and describe what they built.

    Args:
        ws: the context, whose account the result names.
        email: the subscriber.
    """
    with passing("diff") as folder:
        settings = dataclasses.replace(
            ws.settings, target="local", profile=None, email=email, state_dir=folder, yes=True
        )
        own = open_workshop(settings, Console(json_only=True, quiet=True), ws.waiter.sleep)
        bring_boundary(own)
        for step in own.steps:
            step.run(own)
        built = json.dumps(describe(own), default=str)
    here = built.replace(own.account, ws.account).replace(f"arn:{own.partition}:", f"arn:{ws.partition}:")
    return dict(json.loads(here))
