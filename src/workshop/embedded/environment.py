"""`workshop local env`: what plain `aws`, boto3 and curl need to reach the embedded AWS."""

import os
import re
import shlex
import sys
from pathlib import Path

from workshop.base import folder as files
from workshop.embedded.credentials import root_key
from workshop.embedded.instance import Instance
from workshop.embedded.process import LOOPBACK, Embedded

#: Commands that stand in PATH before the real ones of their names; how each finds the real one, and what it does. The
#: workshop's own environment comes last, for machines without an AWS CLI.
SHIM = """#!/bin/sh
here=$(CDPATH="" cd -- "$(dirname -- "$0")" && pwd)
PATH=$(printf %s "$PATH" | tr ":" "\\n" | grep -Fvx "$here" | paste -s -d : -):BIN
"""
SHIMS = {
    # AWS CLI 1 overlooks AWS_ENDPOINT_URL for SQS; the option serves versions 1 and 2. What the embedded AWS's
    # CloudFormation leaves out of a stack is filled in.
    "aws": """\
command -v aws >/dev/null || { echo "Error: There is no AWS CLI (aws). Try: pip install awscli" >&2; exit 127; }
aws ${AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"} "$@"
code=$?
case " $* " in *" cloudformation "*) PYTHON -m workshop.embedded.stacks FOLDER "${AWS_REGION:-us-east-1}" ;; esac
exit $code
""",
    # The URL of an API on AWS leads to the embedded AWS's, whose certificate no browser's authority has signed.
    "curl": """\
trust=
for one do
  shift
  case $one in
    https://*.execute-api.*.amazonaws.com/*)
      host=${one#https://}
      one=$AWS_ENDPOINT_URL/_aws/execute-api/${host%%.*}/${host#*/}
      ;;
  esac
  case $one in "${AWS_ENDPOINT_URL:-nothing}"/*) trust=$AWS_CA_BUNDLE ;; esac
  set -- "$@" "$one"
done
exec curl ${trust:+--cacert "$trust"} "$@"
""",
}


def environment(embedded: Embedded, instance: Instance, region: str) -> dict[str, str]:
    """The variables with which plain `aws`, boto3 and curl reach it: `{name: value}`.

    Args:
        embedded: the embedded AWS of a state folder.
        instance: its running instance.
        region: the region's name.

    Raises:
        WorkshopError: the folder cannot be written to.
    """
    shims = embedded.folder / "bin"
    places = {"PYTHON": sys.executable, "BIN": Path(sys.executable).parent, "FOLDER": embedded.folder}
    with embedded.writing():
        if shims.is_symlink():
            shims.unlink()
        files.secure(shims)
        for name, body in SHIMS.items():
            text = re.sub("PYTHON|BIN|FOLDER", lambda place: shlex.quote(str(places[place[0]])), SHIM + body)
            files.write(shims / name, text, mode=0o700)
        configuration = files.write(embedded.folder / "aws.config", "[default]\n")
    key, before = root_key(instance.secret), os.environ.get("PATH") or os.defpath
    # An empty entry of PATH means the current folder.
    path = [str(shims), *(one for one in before.split(os.pathsep) if one not in ("", str(shims)))]
    return {
        "AWS_ENDPOINT_URL": instance.endpoint,
        "AWS_CA_BUNDLE": str(instance.ca_bundle),
        "AWS_ACCESS_KEY_ID": key.id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_SESSION_TOKEN": "",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        # What the user configured for real AWS has no say here, a profile least of all.
        "AWS_PROFILE": "default",
        "AWS_CONFIG_FILE": str(configuration),
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_PAGER": "",
        "NO_PROXY": LOOPBACK,
        "PATH": os.pathsep.join(path),
    }
