"""`workshop cli-script`: the whole build as a bash script, recorded while the steps run."""

import dataclasses
import sys
from typing import Annotated

from typer import Option

from workshop.awscli.captures import Recorded
from workshop.awscli.script import Script
from workshop.base.console import Console
from workshop.base.settings import Settings
from workshop.build.boundary import bring_boundary
from workshop.build.opening import load, open_workshop
from workshop.embedded import passing


def cli_script(
    settings: Settings,
    console: Console,
    cleanup: Annotated[bool, Option("--cleanup", help="Print the script that deletes everything instead.")] = False,
) -> None:
    """Print the same build as a bash script of AWS CLI calls.

    Example: workshop cli-script --prefix alice > build.sh && bash build.sh
    """
    console.note("Recording the calls on a temporary embedded AWS.")
    with passing("script") as folder:
        own = dataclasses.replace(settings, target="local", state_dir=folder, yes=True)
        sys.stdout.write(record(own, Console(json_only=True, quiet=True), cleanup))


def record(settings: Settings, console: Console, cleanup: bool) -> str:
    """Run the steps, and the cleanup if `cleanup` is set, and return the script of whichever ran last."""
    ws = open_workshop(settings, console)
    bring_boundary(ws)
    recorded: list[Recorded] = []
    part = ""

    def listen(call) -> None:  # type: ignore[no-untyped-def]
        if call.service != "sts":
            recorded.append(Recorded(call, part))

    ws.client.listeners.append(listen)
    for step in ws.steps:
        part = f"Step {step.number}: {step.title}"
        step.run(ws)
    if cleanup:
        recorded.clear()
        part = "Clean up"
        load("cleanup/teardown.py").delete_ours(ws)
    script = Script(ws.account, ws.region, settings.participant, recorded, cleanup)
    whose = f" for the prefix {settings.prefix}" if settings.prefix else ""
    if cleanup:
        return script.text(f"Deletes the orders workshop{whose}.", "bash cleanup.sh", "Everything is deleted.")
    closing = f"Everything is built. Check it: workshop verify{settings.options}"
    return script.text(f"Builds the orders workshop{whose}.", "bash build.sh", closing)
