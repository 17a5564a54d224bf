"""What the user chose: what was typed, else what the environment says, else the default. One reading for all.

The command line, step files and notebooks all come here, so that they work in the same place with the same rights.
"""

import os
from pathlib import Path
from typing import Any

from workshop.aws.clients import configured_region, session_for
from workshop.base.settings import DEFAULT_REGION, Settings

#: The environment variable of each option.
VARIABLES = {
    "target": "WORKSHOP_TARGET",
    "region": "AWS_REGION",
    "profile": "AWS_PROFILE",
    "prefix": "WORKSHOP_PREFIX",
    "environment": "WORKSHOP_ENVIRONMENT",
    "email": "WORKSHOP_EMAIL",
    "state_dir": "WORKSHOP_STATE_DIR",
    "boundary": "WORKSHOP_BOUNDARY",
}


def settings_from(**typed: Any) -> Settings:
    """Build the settings from the options.

    A profile counts here only if it was typed. AWS_PROFILE is left to boto3, which does as the AWS CLI does: keys in
    the environment go before it, and a profile that was typed goes before both. On the embedded AWS it has no say:
    https://docs.aws.amazon.com/cli/latest/userguide/cli-chap-configure.html#configure-precedence

    Args:
        typed: the options of `Settings` by name; None stands for one that was not typed.

    Raises:
        UsageError: one of them is not valid, or there is no such profile.
    """
    chosen: dict[str, Any] = {
        name: os.environ[variable] for name, variable in VARIABLES.items() if os.environ.get(variable)
    }
    chosen.pop("profile", None)
    chosen |= {name: value for name, value in typed.items() if value is not None}
    if "state_dir" in chosen:
        chosen["state_dir"] = Path(chosen["state_dir"]).expanduser().resolve()
    if "region" not in chosen:
        on_aws = chosen.get("target") == "aws"
        chosen["region"] = configured_region(chosen.get("profile")) if on_aws else DEFAULT_REGION
    settings = Settings(**chosen)
    if settings.profile:
        session_for(settings)
    return settings
