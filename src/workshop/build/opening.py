"""Opening the workshop: from the user's settings to the context that every step and command gets."""

import importlib.util
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from workshop.aws.clients import Clients, session_for
from workshop.aws.waiter import Waiter
from workshop.base.console import Console
from workshop.base.errors import WorkshopError
from workshop.base.files import ROOT
from workshop.base.settings import Settings
from workshop.base.state import State
from workshop.build.context import Workshop
from workshop.build.step import Step
from workshop.embedded import Embedded, Mailbox
from workshop.embedded.stacks import complete


@dataclass(kw_only=True)
class OpenWorkshop(Workshop):
    """The context of a command: it knows the steps themselves, and not only what they make.

    Attributes:
        steps: all steps, in order.
    """

    steps: list[Step]


def open_workshop(settings: Settings, console: Console, sleep: Callable[[float], None] = time.sleep) -> OpenWorkshop:
    """Get ready to work on a target; `local` starts the embedded AWS when it is not running.

    Args:
        settings: what the user asked for.
        console: where to speak.
        sleep: sleeps for seconds, while AWS is waited for.

    Raises:
        WorkshopError: the target cannot be reached, or the record of this participant cannot be used.
        ClientError, BotoCoreError: AWS does not know the credentials, or there are none.
    """
    waiter = Waiter(console.note, sleep)
    mailbox = embedded_id = None
    if settings.target == "local":
        embedded = Embedded(settings.state_dir)
        with console.working("starting the embedded AWS"):
            instance, started = embedded.start()
        if started:
            console.note(f"The embedded AWS was started at {instance.endpoint}.")
        complete(embedded, instance, settings.region)
        client = Clients(instance.session(settings.region), waiter, instance.endpoint, str(instance.ca_bundle))
        mailbox, embedded_id = Mailbox(instance), instance.id
        client.listeners.append(mailbox.hear)
    else:
        client = Clients(session_for(settings), waiter, ca_bundle=os.environ.get("AWS_CA_BUNDLE"))
    caller = client("sts").get_caller_identity()
    state = State.load(settings, caller["Account"], embedded_id)
    if state.forgotten:
        console.note("The records speak of an embedded AWS that is gone, with all that it held: starting from empty.")
    steps = load_steps()
    return OpenWorkshop(
        settings=settings,
        account=caller["Account"],
        partition=caller["Arn"].split(":")[1],
        identity=caller["Arn"],
        client=client,
        state=state,
        console=console,
        waiter=waiter,
        steps=steps,
        parts=[part for step in steps for part in step.parts],
        mailbox=mailbox,
    )


def load_steps() -> list[Step]:
    """The steps, in order.

    Raises:
        WorkshopError: there are none: the package was copied without them.
    """
    steps = [load(path.relative_to(ROOT).as_posix()).step for path in sorted(ROOT.glob("steps/[0-9][0-9]_*.py"))]
    if not steps:
        raise WorkshopError(f"There are no steps in {ROOT}.", "In a checkout, install the workshop with: pip install .")
    return steps


def load(path: str) -> ModuleType:
    """Import a lesson, such as `cleanup/teardown.py`; its name begins with a digit, or lies outside the package.

    Args:
        path: from the repository's root, of a file or of a package's folder.
    """
    file = ROOT / path
    if file.is_dir():
        file /= "__init__.py"
    name = "workshop_" + path.removesuffix(".py").replace("/", "_")
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
