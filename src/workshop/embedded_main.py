"""The process of the embedded AWS, which `workshop.embedded` starts: ministack, with its CloudFormation's gaps filled.

The first call of CloudFormation fills them: it imports half of ministack, which would make every start slower.
"""

from typing import Any

from ministack.app import SERVICE_HANDLERS, main

_ministacks = SERVICE_HANDLERS["cloudformation"]


async def _cloudformation(*request: Any) -> Any:
    from workshop.embedded_cloudformation import fill_the_gaps

    fill_the_gaps()
    return await _ministacks(*request)


if __name__ == "__main__":
    SERVICE_HANDLERS["cloudformation"] = _cloudformation
    main()
