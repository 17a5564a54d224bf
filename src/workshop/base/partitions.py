"""AWS's partitions, their regions and domains, as boto3 knows them. The user's AWS configuration has no say in it."""

from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.session import Session


@cache
def _session() -> Session:
    session = Session()
    # A session's own loader asks the configuration where botocore's data lies, and fails if the profile is missing.
    session.register_component("data_loader", Loader())
    return session


@cache
def _outputs() -> dict[str, dict[str, Any]]:
    """What AWS says of each partition: `{"aws": {"dnsSuffix": "amazonaws.com", "dualStackDnsSuffix": …}}`."""
    # No method of botocore tells domains; this file is what it makes endpoints from.
    return {one["id"]: one["outputs"] for one in _session().get_data("partitions")["partitions"]}


@cache
def regions() -> frozenset[str]:
    """The regions of all partitions; SQS is in each."""
    partitions = _session().get_available_partitions()
    return frozenset(name for one in partitions for name in _session().get_available_regions("sqs", one))


@cache
def domains() -> tuple[str, ...]:
    """The domains under which AWS itself answers: `.amazonaws.com`, `.api.aws` and so on."""
    suffixes = {one[key] for one in _outputs().values() for key in ("dnsSuffix", "dualStackDnsSuffix")}
    return tuple(f".{suffix}" for suffix in sorted(suffixes))


def domain_of(region: str) -> str:
    """The domain of a region's partition, such as `amazonaws.com`."""
    return str(_outputs()[_session().get_partition_for_region(region)]["dnsSuffix"])
