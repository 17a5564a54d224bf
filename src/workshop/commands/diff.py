"""`workshop diff`: what differs between what stands and what the steps would build, setting by setting.

What the steps would build is not written down anywhere but in the steps. So they build it, with the same names, on
an embedded AWS of their own that is gone afterwards; that takes two or three seconds.
"""

import dataclasses
import json
from typing import Any

from workshop.boundary import bring_boundary
from workshop.console import Console
from workshop.context import Workshop
from workshop.describe import Settings, compare, describe
from workshop.embedded import passing
from workshop.errors import WorkshopError
from workshop.opening import open_workshop
from workshop.resource import Difference
from workshop.settings import LOCAL_EMAIL

#: What AWS works out by itself, otherwise than an embedded AWS does: there, nobody has set it.
AWS_DECIDES = (
    "WarmThroughput.",
    "EffectiveDeliveryPolicy",
    "methodIntegration.connectionType",
    "SnapStart.OptimizationStatus",
)


def diff(ws: Workshop) -> dict[str, Any]:
    """Show what differs between what stands and what the steps would build, setting by setting.

    It does not matter who built what stands: the steps, CloudFormation, a script, a person. Settings that only real
    AWS shows are not held against it, nor are further readers of the topic.

    Example: workshop diff --prefix alice
    """
    with ws.console.working("reading what stands"):
        standing = describe(ws)
    with ws.console.working("building what the steps would build, on an embedded AWS of its own"):
        should = what_the_steps_build(ws, reader_of(ws, standing))
    standing = {name: one for name, one in standing.items() if name in should or not name.startswith("subscription ")}
    if not ws.is_embedded:
        should = {name: without(one, AWS_DECIDES) for name, one in should.items()}
    found = compare(standing, should, extras_count=ws.is_embedded)
    rows = [
        (name.partition(" ")[0], name.partition(" ")[2], difference)
        for name, differences in found.items()
        for difference in differences
    ]
    if not rows:
        ws.console.say(f"Nothing differs: {len(should)} resources were compared.")
        return {"compared": len(should), "differences": []}
    ws.console.table(
        f"What differs for {ws.settings.participant} in {ws.account}, {ws.region}",
        ("Kind", "Name", "Difference"),
        [(kind, name, in_words(difference)) for kind, name, difference in rows],
    )
    ws.console.say(f"{len(rows)} settings of {len(found)} resources differ; {len(should)} resources were compared.")
    return {
        "compared": len(should),
        "differences": [
            {"kind": kind, "name": name, "setting": d.setting, "is": d.is_, "should": d.should}
            for kind, name, d in rows
        ],
    }


def differs(document: dict[str, Any], **_: Any) -> WorkshopError | None:
    """What the command ends with when something differs."""
    if not document["differences"]:
        return None
    first = document["differences"][0]
    words = in_words(Difference(first["setting"], first["is"], first["should"]))
    return WorkshopError(
        f"{len(document['differences'])} settings differ, the first of {first['kind']} {first['name']}: {words}.",
        "The steps put right what is theirs: workshop up",
    )


def in_words(difference: Difference) -> str:
    """A difference as a sentence; what is not there has no value to show."""
    values = ["not set" if value is None else value for value in (difference.is_, difference.should)]
    return str(Difference(difference.setting, *values))


def reader_of(ws: Workshop, standing: dict[str, Settings]) -> str:
    """Who is to be notified: who was asked for, or else whoever is."""
    readers = [one["Endpoint"] for name, one in standing.items() if name.startswith("subscription ")]
    return ws.settings.email or next(iter(readers), LOCAL_EMAIL)


def without(settings: Settings, names: tuple[str, ...]) -> Settings:
    """Settings without those whose names begin so."""
    return {name: value for name, value in settings.items() if not name.startswith(names)}


def what_the_steps_build(ws: Workshop, email: str) -> dict[str, Settings]:
    """Run the steps for the same participant on a fresh embedded AWS, and describe what they built.

    Args:
        ws: the context; its account stands in the answer.
        email: who is to be notified.
    """
    with passing("diff") as folder:
        settings = dataclasses.replace(
            ws.settings, target="local", profile=None, email=email, state_dir=folder, yes=True
        )
        own = open_workshop(settings, Console(json_only=True, quiet=True), ws.patience.sleep)
        bring_boundary(own)
        for step in own.steps:
            step.run(own)
        built = json.dumps(describe(own), default=str)
    here = built.replace(own.account, ws.account).replace(f"arn:{own.partition}:", f"arn:{ws.partition}:")
    return dict(json.loads(here))
