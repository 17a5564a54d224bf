"""The first code cell: where the notebook works, as whom, at what cost, and whether the steps before have run."""

from collections.abc import Iterable
from dataclasses import replace

from workshop.aws.options import settings_from
from workshop.base.errors import NotBuilt, WorkshopError
from workshop.build.opening import OpenWorkshop, open_workshop
from workshop.kinds import KINDS
from workshop.notebook.calls import remember
from workshop.notebook.console import NotebookConsole
from workshop.notebook.errors import explain_errors
from workshop.notebook.page import display_html, html_table, tell


def begin(
    number: int = 0,
    *,
    needs: tuple[int, ...] | None = None,
    target: str | None = None,
    profile: str | None = None,
    region: str | None = None,
    prefix: str | None = None,
    environment: str | None = None,
    email: str | None = None,
    yes: bool = False,
) -> OpenWorkshop:
    """Open the workshop: the first code cell of each notebook, which can be run again at any time.

    What is not given comes from the same environment variables as in the terminal, and has the same defaults.

    Args:
        number: of the step that the notebook builds; 0 stands for none.
        needs: the numbers of the steps that must have run; by default those that the step itself needs.
        target: `local`, the embedded AWS, or `aws`.
        profile: of `~/.aws/config`; with `aws` only.
        region: such as `eu-central-1`.
        prefix: goes in front of every name.
        environment: the API's stage, and a tag.
        email: who is notified of orders.
        yes: with `aws`: this is the right account, change it.

    Raises:
        WorkshopError: the target cannot be used, or an earlier step is missing.
    """
    explain_errors()
    settings = settings_from(
        target=target, profile=profile, region=region, prefix=prefix, environment=environment, email=email, yes=yes
    )
    # What is embedded is nobody's: there is no question to ask.
    settings = replace(settings, yes=yes or settings.target == "local")
    ws = open_workshop(settings, NotebookConsole())
    ws.client.listeners.append(remember)
    _introduce(ws)
    if settings.target == "aws" and not yes:
        raise WorkshopError(
            "Nothing was changed.", "If this is the right account, add yes=True and run this cell again."
        )
    if needs is None:
        needs = ws.steps[number - 1].needs if number else ()
    _demand(ws, needs)
    return ws


def _introduce(ws: OpenWorkshop) -> None:
    """Say where the work will be done, as whom, and at what cost."""
    local = ws.settings.target == "local"
    rows = {
        "Target": f"the embedded AWS at {ws.client.endpoint}" if local else f"AWS, account {ws.account}",
        "Identity": ws.identity,
        "Region": ws.region,
        "Names": f"{ws.name('ecommerce-orders')}, {ws.name('POC-Lambda-1')}, …",
        "Cost": "nothing"
        if local
        else "less than a cent for all notebooks; up to $0.26 a month if it stays (workshop cost)",
    }
    if not local:
        rows["E-mail"] = ws.settings.email or "nobody yet: add email=…, step 6 needs it"
    display_html(html_table("", (), rows.items()))


def _demand(ws: OpenWorkshop, needs: Iterable[int]) -> None:
    """Check that earlier steps stand.

    Raises:
        NotBuilt: one does not; the message names its notebook.
    """
    for step in (ws.steps[number - 1] for number in needs):
        for declaration in step.declarations:
            if declaration.kind in KINDS and ws.find(declaration.kind, declaration.base) is None:
                raise NotBuilt(
                    f"Step {step.number} must run first: the {declaration.kind} {declaration.named(ws)} is missing.",
                    f"Run {step.command}.ipynb, or in a terminal: workshop {step.command}{ws.settings.options};"
                    " then run this cell again.",
                )
    done = ", ".join(str(number) for number in needs)
    tell(f"Ready: step {done} stands." if len(done) == 1 else f"Ready: steps {done} stand." if done else "Ready.")
