"""The checkers of the notebooks' exercises: blank answers, wrong ones with the hint that helps, and right ones."""

import pytest
from answers import load_answers
from support import listings, messages, rows, sample, snapshot

from workshop.build.opening import load
from workshop.build.step import Workshop

CHECKERS = load("notebooks/exercises").CHECKERS
ANSWERS = load_answers()
#: Those that try an answer on AWS, so that an interrupt has something to leave behind.
TRIED_ON_AWS = ("iam", "dynamodb", pytest.param("sqs", marks=pytest.mark.exhaustive), "streams", "sns")
WRONG = [pytest.param(name, *case, id=f"{name}: {what}") for name, answers in ANSWERS.items()
         for what, case in answers.WRONG.items()]  # fmt: skip
RIGHT = [pytest.param(name, answer, id=f"{name}: {n}") for name, answers in ANSWERS.items()
         for n, answer in enumerate(answers.RIGHT)]  # fmt: skip


def judge(ws: Workshop, name: str, answer) -> list:
    """What the checker says; nothing of what it tries may be left."""
    found = list(CHECKERS[name](ws, answer))
    assert left_behind(ws) == []
    return found


def left_behind(ws: Workshop) -> list:
    return [one for kind in listings(ws).values() for one in kind if ws.name("exercise-") in str(one)]


def hints(found) -> str:
    return "\n".join(row.hint for row in found if not row.holds)


@pytest.fixture(scope="module", autouse=True)
def _unharmed(built):
    """What the learner has built stays as it is, and holds nothing of what was tried."""
    before, stored = snapshot(built), rows(built)
    yield
    assert snapshot(built) == before
    assert rows(built) == stored
    assert messages(built) == messages(built, "ecommerce-orders-dlq") == 0


def test_each_exercise_has_its_cases():
    assert set(ANSWERS) == set(CHECKERS)
    assert min(len(answers.WRONG) for answers in ANSWERS.values()) >= 6
    assert min(len(answers.RIGHT) for answers in ANSWERS.values()) >= 2


@pytest.mark.parametrize("name", ANSWERS)
def test_a_blank_answer_gets_a_hint(built, name):
    found = judge(built, name, ANSWERS[name].blank(built))
    assert [row for row in found if not row.holds]
    assert all(row.hint for row in found if not row.holds)


def one_of_each_hint() -> list:
    """All wrong answers; in every run the first one that gets a hint."""
    first = {(one.values[0], one.values[2]): one.id for one in reversed(WRONG)}
    return sample(WRONG, first.values())


@pytest.mark.parametrize(("name", "answer", "hint"), one_of_each_hint())
def test_a_wrong_answer_gets_the_hint_that_helps(built, name, answer, hint):
    found = hints(judge(built, name, answer(built)))
    assert hint in found


@pytest.mark.parametrize(("name", "answer"), sample(RIGHT, [f"{name}: 0" for name in ANSWERS]))
def test_a_right_answer_is_right_in_any_words(built, name, answer):
    found = judge(built, name, answer(built))
    assert hints(found) == ""
    assert len(found) >= 3


@pytest.mark.parametrize("name", sample(TRIED_ON_AWS, ("iam",)))
def test_an_interrupted_trial_leaves_nothing(open_ws, built, name):
    ws = open_ws(built.settings.prefix)

    def interrupt_after(calls: int) -> bool:
        """Press Ctrl-C once, after so many calls. Returns whether there were so many."""
        left = [calls]

        def interrupt(_):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

        ws.client.listeners[:] = [interrupt]
        try:
            judge(ws, name, ANSWERS[name].RIGHT[0](ws))
        except KeyboardInterrupt:
            assert left_behind(ws) == []
            return True
        return False

    calls = 1
    while interrupt_after(calls):
        calls += 1
    assert calls > 2


@pytest.mark.parametrize("name", CHECKERS)
@pytest.mark.parametrize(
    "nonsense",
    sample([None, 0, "text", [None], {"a": None}, {None: {}}, pytest.param(object(), id="object")], ("None", "object")),
)
def test_nonsense_breaks_no_checker(built, name, nonsense):
    found = judge(built, name, nonsense)
    assert hints(found)
