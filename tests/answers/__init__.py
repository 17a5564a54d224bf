"""Answers to the notebooks' exercises, one module for each, named as its checker is.

Each module has a `blank` answer, right ones in different words (`RIGHT`), and wrong ones, each with a part of the hint
that the learner must get (`WRONG`). An answer is a function of the context that gives it.
"""

from importlib import import_module
from pathlib import Path

SOAP = {"productId": "soap", "quantity": 1}


def load_answers():
    """The modules of answers, by name."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    return {name: import_module(f"answers.{name}") for name in names}


def changed(base, **more):
    """A right answer with something changed; None takes an entry out."""
    return lambda ws: {key: value for key, value in (base(ws) | more).items() if value is not None}


def value(answer):
    """The same answer in any context."""
    return lambda ws: answer
