"""What the exercises of the notebooks ask for: one module for each, which tries an answer and says what is missing.

A checker gets the context and the answer, and yields rows. It judges an answer by what it does, not by its words: a
policy is put before IAM, a queue's attributes make a queue, a handler is called. In each module, functions named
`try_…` do that and return what happened; `check` turns it into rows with hints. `trying` holds what they share.

An answer is tried on resources of its own, which are deleted again, and never on what the learner has built.
"""

from importlib import import_module
from pathlib import Path

#: `{name of the notebook, without its number: its checker}`.
CHECKERS = {
    path.stem: import_module(f".{path.stem}", __name__).check
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py"))
    if path.stem != "trying"
}
