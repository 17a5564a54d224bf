"""Variables of bash in place of what belongs to the recording alone: its account, its region, and the ids that it drew.

A value is replaced where it *stands* in a call: in the fields of an ARN, in a mark of the region, or as a whole
parameter. What people choose may hold the same text (`team-us-east-1@example.com`, a prefix with the account's
number) and stays as it is.

Meanwhile a *stand-in* takes the variable's place: letters and digits that occur nowhere in the recording, so that
nothing that quotes or parses the value can stumble over it, and nothing else can be taken for it.
"""

import itertools
import json
import re
import shlex
from collections.abc import Iterable
from typing import Any

from workshop.aws.clients import Call
from workshop.kinds.regions import TAG, mark

#: What a person wrote, and nothing else.
VERBATIM = {("Subscribe", "Endpoint")}
#: What bash takes as it is within double quotes.
SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")


class Variables:
    """The variables of a script.

    Args:
        account, region: of the recording; they become `ACCOUNT` and `REGION`.
        texts: all texts of the recording.
    """

    def __init__(self, account: str, region: str, texts: Iterable[str]) -> None:
        self.account, self.region = account, region
        #: The name of the variable for a value that AWS drew, such as an API's id.
        self.names: dict[str, str] = {}
        everything = "\n".join(texts)
        self._mark = next(mark for n in itertools.count() if (mark := f"q{n}w") not in everything)
        self._stand_in = re.compile(f"{self._mark}([A-Z0-9_]+){self._mark}")

    def stand_in(self, name: str) -> str:
        """What takes a variable's place until `quote`."""
        return f"{self._mark}{name}{self._mark}"

    def parameters(self, call: Call) -> dict[str, Any]:
        """The parameters of a call with stand-ins where the values of the recording stand."""
        return {
            name: value if (call.operation, name) in VERBATIM else self._within(value)
            for name, value in call.parameters.items()
        }

    def quote(self, text: str) -> str:
        """A text with stand-ins as a word of bash, in which they have become variables."""
        literals = self._stand_in.split(text)
        if len(literals) == 1:
            return shlex.quote(text)
        # Texts and names take turns.
        texts, names = literals[::2], literals[1::2]
        if all(SAFE.fullmatch(one) for one in texts):
            pairs = itertools.zip_longest(texts, (f"${{{name}}}" for name in names), fillvalue="")
            return f'"{"".join(itertools.chain.from_iterable(pairs))}"'
        quoted = [one and "'" + one.replace("'", "'\"'\"'") + "'" for one in texts]
        pairs = itertools.zip_longest(quoted, (f'"${{{name}}}"' for name in names), fillvalue="")
        return "".join(itertools.chain.from_iterable(pairs))

    def _within(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list | tuple):
            return [self._within(one) for one in value]
        if isinstance(value, dict):
            if value == {"Key": TAG, "Value": self.region}:
                return {"Key": TAG, "Value": self.stand_in("REGION")}
            return {key: self._within(one) for key, one in value.items()}
        return value

    def _text(self, text: str) -> str:
        if text in self.names:
            return self.stand_in(self.names[text])
        if text == mark(self.region):
            return mark(self.stand_in("REGION"))
        if text.startswith("arn:"):
            return self._arn(text)
        if text.startswith("{"):
            # Policies, and other documents within a text.
            try:
                document = json.loads(text)
            except ValueError:
                return text
            changed = self._within(document)
            return text if changed == document else json.dumps(changed)
        return text

    def _arn(self, arn: str) -> str:
        """An ARN: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`, with ids among the parts of the resource."""
        fields = arn.split(":", 5)
        if len(fields) < 6:
            return arn
        if fields[3] == self.region:
            fields[3] = self.stand_in("REGION")
        if fields[4] == self.account:
            fields[4] = self.stand_in("ACCOUNT")
        parts = re.split(r"([/:])", fields[5])
        if fields[2:5:2] == ["apigateway", "sqs"] and parts[0] == "path" and parts[2] == self.account:
            # An integration's: arn:aws:apigateway:REGION:sqs:path/ACCOUNT/QUEUE
            parts[2] = self.stand_in("ACCOUNT")
        fields[5] = "".join(self.stand_in(self.names[part]) if part in self.names else part for part in parts)
        return ":".join(fields)
