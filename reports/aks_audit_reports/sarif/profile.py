"""What the readers of SARIF take: GitHub, Azure DevOps, and those that read all of the standard."""

from typing import NamedTuple


class Profile(NamedTuple):
    """A file for one kind of reader; None is a limit that there is not.

    A `whole` file holds what is no open failure too: passes, what is not applicable, what is unknown, what was accepted
    and what was mended. `of_pipelines`: an Azure pipeline is what its alerts belong to.
    """

    file_name: str
    most_results: int | None
    most_bytes: int | None
    most_tags: int | None
    whole: bool
    of_pipelines: bool


MOST_RESULTS = 5_000
"""Both services keep so many results of a run."""

MOST_BYTES = 9_500_000
"""GitHub refuses a file over 10 MB, gzipped; no two compressors agree to the byte."""

GITHUB = Profile("aks-audit.sarif", MOST_RESULTS, MOST_BYTES, 10, whole=False, of_pipelines=False)
AZURE_DEVOPS = Profile("aks-audit.azuredevops.sarif", MOST_RESULTS, MOST_BYTES, 10, whole=False, of_pipelines=True)
FULL = Profile("aks-audit.full.sarif", None, None, None, whole=True, of_pipelines=False)
