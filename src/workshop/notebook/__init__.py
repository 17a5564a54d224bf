"""The workshop in Jupyter: the commands' own functions, with tables, pictures and errors for a notebook.

The one package that knows IPython, and like the commands a top floor: it uses the others, and none of them uses it.
Everything that it shows comes from the same functions as in the terminal, so both say the same. A notebook says
`from workshop import notebook as nb`, and has what is listed here:

    session     the first cell: where to work, as whom, and which steps must have run
    steps       a step run and checked, and the answer to an exercise
    orders      an order followed, a spike, and the e-mails; `pictures` draws them
    source      files of the repository
    calls       the AWS calls of a cell as AWS CLI commands
    errors      one line with the remedy, and errors that are expected
    console     the console of commands, in a cell
    page        the tables and boxes of all these
"""

from workshop.base.errors import WorkshopError
from workshop.notebook.calls import as_cli
from workshop.notebook.console import NotebookConsole
from workshop.notebook.errors import DENIED, expect_error
from workshop.notebook.orders import follow_order, mail, spike
from workshop.notebook.page import table
from workshop.notebook.pictures import draw_spike, draw_way, picture
from workshop.notebook.session import begin
from workshop.notebook.source import show
from workshop.notebook.steps import exercise, run, verify
from workshop.orders.api import api_url, find_order
from workshop.orders.logs import find_in_log
from workshop.orders.mail import listen_to_mail

__all__ = [
    "DENIED",
    "NotebookConsole",
    "WorkshopError",
    "api_url",
    "as_cli",
    "begin",
    "draw_spike",
    "draw_way",
    "exercise",
    "expect_error",
    "find_in_log",
    "find_order",
    "follow_order",
    "listen_to_mail",
    "mail",
    "picture",
    "run",
    "show",
    "spike",
    "table",
    "verify",
]
