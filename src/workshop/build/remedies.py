"""What to type for a red check: the least that cures it.

A check looks at one thing, but what cures it may be another step's, or nobody's: a step that would change nothing
cures nothing. So the steps are looked at, as `workshop status` does, before one of them is named. The drawback is
that a red check costs as many calls as a look at the steps.
"""

from botocore.exceptions import BotoCoreError, ClientError

from workshop.base.errors import WorkshopError
from workshop.build.checks import Check, Verdict, rebuild, somebody_to_notify, typed
from workshop.build.opening import OpenWorkshop
from workshop.build.step import Step

#: Whose subscription needs an address.
TOPIC = "ecommerce-orders-topic"


class Remedies:
    """The remedies of one verification; each step is looked at once, and only when a check is red.

    Args:
        ws: the context.
    """

    def __init__(self, ws: OpenWorkshop) -> None:
        self.ws = ws
        self._looked: dict[int, set[str]] = {}
        self._foreign: dict[int, str] = {}

    def of(self, step: Step, check: Check, verdict: Verdict) -> str:
        """What to type for a verdict: nothing if it passed, and what the check itself names if it names something."""
        if verdict.passed or verdict.remedy.split()[:2] != ["workshop", step.command]:
            return verdict.remedy
        found = self._look(step)
        if step.number in self._foreign:
            return self._foreign[step.number]
        if found != {"present"} and not any("missing" in self._look(one) for one in self._needed(step)):
            return verdict.remedy
        if any(self._look(one) != {"present"} for one in self.ws.steps):
            unread = any(one.makes("subscription", TOPIC) and "missing" in self._look(one) for one in self.ws.steps)
            return typed(self.ws, f"up{somebody_to_notify(self.ws)}" if unread else "up")
        # Everything is as the steps would make it. If orders still get lost, one that is followed tells where.
        follow = f"{typed(self.ws, 'order --trace')} || " if check.sends else ""
        return follow + rebuild(self.ws)

    def _needed(self, step: Step) -> list[Step]:
        return [one for one in self.ws.steps if one.number in step.needs]

    def _look(self, step: Step) -> set[str]:
        """What a step would find: present, missing, drifted; or hidden, if it may not be looked at."""
        if step.number not in self._looked:
            try:
                resources = step.examine(self.ws)
            except (WorkshopError, ClientError, BotoCoreError):
                self._looked[step.number] = {"hidden"}
            else:
                self._looked[step.number] = {one.result for one in resources}
                foreign = next((one.foreign for one in resources if one.foreign), None)
                if foreign is not None:
                    self._foreign[step.number] = foreign.remedy
        return self._looked[step.number]
