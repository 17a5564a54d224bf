"""The embedded AWS: ministack behind a gate, as a process of its own. The one package that knows it.

What ministack lacks is filled in here with its public behaviour: mail is read from a queue that a second account of
the embedded AWS holds, the API's URL has a form of its own, and stacks are completed (`stacks`).

    process       the process of a state folder: start, find, end
    passing       one for a single command, gone afterwards
    instance      one life of it: endpoint, certificate, keys
    launcher      what runs in that process: ministack, served over TLS and behind the gate
    gate          who gets in; `signature` checks a caller's, `refusals` says no
    credentials   what opens the gate
    environment   what plain `aws` and curl need
    mailbox       the e-mails
    iam           policies that its IAM understands
    calls         calls that ministack reads otherwise than AWS
    stacks        what its CloudFormation leaves out
"""

from urllib.parse import urlsplit

from workshop.base.partitions import domains
from workshop.embedded.environment import environment
from workshop.embedded.iam import adapt
from workshop.embedded.instance import Instance
from workshop.embedded.mailbox import Mailbox
from workshop.embedded.passing import passing
from workshop.embedded.process import Embedded

__all__ = ["Embedded", "Instance", "Mailbox", "adapt", "environment", "invoke_url", "is_embedded", "passing"]


def is_embedded(endpoint: str) -> bool:
    """Whether an endpoint is not AWS itself: commands sent to `--target aws` may be pointed elsewhere as well."""
    host = urlsplit(endpoint).hostname or ""
    return not host.endswith(domains())


def invoke_url(endpoint: str, api_id: str, stage: str) -> str:
    """The base URL of a deployed REST API on an embedded AWS, without a slash at its end."""
    return f"{endpoint.rstrip('/')}/_aws/execute-api/{api_id}/{stage}"
