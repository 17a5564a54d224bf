"""Opening the workshop: from the user's settings to the context that every step and command gets."""

import importlib.util
import os
import sys
import time
from collections.abc import Callable
from types import ModuleType

from workshop.aws import Clients, session_for
from workshop.console import Console
from workshop.embedded import Embedded, Mailbox
from workshop.embedded.stacks import complete
from workshop.errors import WorkshopError
from workshop.settings import REPOSITORY, Settings
from workshop.state import State
from workshop.step import Step, Workshop
from workshop.waiting import Patience


def open_workshop(settings: Settings, console: Console, sleep: Callable[[float], None] = time.sleep) -> Workshop:
    """Get ready to work on a target; `local` starts the embedded AWS when it is not running.

    Args:
        settings: what the user asked for.
        console: where to speak.
        sleep: sleeps for seconds, while AWS is waited for.

    Raises:
        WorkshopError: the target cannot be reached, or the record of this participant cannot be used.
        ClientError, BotoCoreError: AWS does not know the credentials, or there are none.
    """
    patience = Patience(console.note, sleep)
    mailbox = embedded_id = None
    if settings.target == "local":
        embedded = Embedded(settings.state_dir)
        with console.working("starting the embedded AWS"):
            instance, started = embedded.start()
        if started:
            console.note(f"The embedded AWS was started at {instance.endpoint}.")
        complete(embedded, instance, settings.region)
        client = Clients(instance.session(settings.region), patience, instance.endpoint, str(instance.ca_bundle))
        mailbox, embedded_id = Mailbox(instance), instance.id
        client.listeners.append(mailbox.hear)
    else:
        client = Clients(session_for(settings), patience, ca_bundle=os.environ.get("AWS_CA_BUNDLE"))
    caller = client("sts").get_caller_identity()
    state = State.load(settings, caller["Account"], embedded_id)
    if state.forgotten:
        console.note("The records speak of an embedded AWS that is gone, with all that it held: starting from empty.")
    return Workshop(
        settings=settings,
        account=caller["Account"],
        partition=caller["Arn"].split(":")[1],
        identity=caller["Arn"],
        client=client,
        state=state,
        console=console,
        patience=patience,
        steps=load_steps(),
        mailbox=mailbox,
    )


def load_steps() -> list[Step]:
    """The steps of this repository, in order.

    Raises:
        WorkshopError: there are none: the package was installed away from its repository.
    """
    steps = [load(path.relative_to(REPOSITORY).as_posix()).step for path in sorted(REPOSITORY.glob("steps/0*_*.py"))]
    if not steps:
        raise WorkshopError(
            f"There is no folder of steps in {REPOSITORY}.", "Install the workshop with: pip install -e ."
        )
    return steps


def load(path: str) -> ModuleType:
    """Import a lesson, such as `cleanup/teardown.py`; its name begins with a digit, or lies outside the package.

    Args:
        path: from the repository's root, of a file or of a package's folder.
    """
    file = REPOSITORY / path
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
