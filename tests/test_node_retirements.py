"""The retirements of VM series and node images: which names mean which, and from which day a finding is how bad."""

import datetime as dt
import re

import pytest

from aks_audit.facts import Estate, ManagedCluster
from aks_audit.results import Severity
from aks_audit.snapshot import Header, Resource, of
from aks_audit_rules.dates import NODE_IMAGES, VM_SERIES
from aks_audit_rules.node_make import operating_system_maintained, retired_series
from cases import CLUSTER

SIZES = {
    "The NC, NCv2 and ND series": "Standard_NC6 Standard_NC24r_Promo Standard_NC24rs_v2 Standard_ND6s Standard_ND24rs",
    "The NV series": "Standard_NV6 Standard_NV12_Promo",
    "The first A series": "Basic_A1 Standard_A0 Standard_A11",
    "The NCv3 series": "Standard_NC6s_v3 Standard_NC24rs_v3",
    "The DCsv2 series": "Standard_DC1s_v2 Standard_DC8s_v2",
    "The cc_v5 series for nested confidential machines": "Standard_DC4as_cc_v5 Standard_EC8ads_cc_v5",
    "The NVv3 series": "Standard_NV12s_v3",
    "The NVv4 series": "Standard_NV4as_v4",
    "The isolated sizes of the Msv2 and Mdsv2 series": "Standard_M192is_v2 Standard_M192idms_v2 Standard_M192ims_v2",
    "The NP series": "Standard_NP10s",
    "The HC series": "Standard_HC44rs Standard_HC44-16rs",
    "The HBv2 series": "Standard_HB120rs_v2 Standard_HB120-64rs_v2",
    "The first D and Ds series": "Standard_D2 Standard_DS14 Standard_DS14-4",
    "The Dv2 and Dsv2 series": "Standard_D2_v2 Standard_DS14-4_v2 Standard_D15i_v2 Standard_DS2_v2_Promo",
    "The first Ls series": "Standard_L4s",
    "The Av2 and Amv2 series": "Standard_A2_v2 Standard_A8m_v2",
    "The first B series": "Standard_B1ls Standard_B2s Standard_B4ms",
    "The F, Fs and Fsv2 series": "Standard_F2 Standard_F2s Standard_F2s_v2",
    "The G and Gs series": "Standard_G1 Standard_GS5-16",
    "The Lsv2 series": "Standard_L8s_v2",
    "The DCsv3 and DCdsv3 series": "Standard_DC2s_v3 Standard_DC48ds_v3",
    "The Dv3 and Dsv3 series": "Standard_D2_v3 Standard_D64s_v3",
    "The Ev3 and Esv3 series": "Standard_E2_v3 Standard_E64is_v3 Standard_E32-8s_v3",
}
OF_TODAY = [
    "Standard_D4ds_v4",
    "Standard_D4ds_v5",
    "Standard_D4as_v4",
    "Standard_D8plds_v5",
    "Standard_DC4as_v5",
    "Standard_DC4eds_v6",
    "Standard_E4ds_v5",
    "Standard_E4-2ads_v5",
    "Standard_F8as_v6",
    "Standard_FX4mds",
    "Standard_B2s_v2",
    "Standard_B2ats_v2",
    "Standard_B2pls_v2",
    "Standard_L8s_v3",
    "Standard_L8as_v3",
    "Standard_M192ids_v3",
    "Standard_M64s_v2",
    "Standard_NC4as_T4_v3",
    "Standard_NC24ads_A100_v4",
    "Standard_ND40rs_v2",
    "Standard_ND96asr_v4",
    "Standard_NV6ads_A10_v5",
    "Standard_HB120rs_v3",
    "Standard_HX176rs",
]


def test_every_series_is_known_by_its_sizes_alone_and_in_any_case() -> None:
    assert set(SIZES) == {series.what for series in VM_SERIES}
    for what, sizes in SIZES.items():
        for size in sizes.split():
            fitting = [one.what for one in VM_SERIES if re.fullmatch(one.sizes, size)]
            assert fitting == [what], size
            found = retired_series(size.upper())
            assert found is not None
            assert found.what == what


@pytest.mark.parametrize("size", OF_TODAY)
def test_no_size_of_today_is_taken_for_an_old_one(size: str) -> None:
    assert retired_series(size) is None


def test_every_retirement_has_a_source_and_says_what_to_do() -> None:
    for one in (*VM_SERIES, *NODE_IMAGES):
        assert one.source.startswith("https://")
        assert not one.action.endswith(".")


def test_no_name_of_an_image_means_two_systems() -> None:
    starts = [start.lower() for image in NODE_IMAGES for start in image.images]
    assert len(starts) == len(set(starts))
    assert not [one for one in starts for other in starts if one != other and one.startswith(other)]


@pytest.mark.parametrize(
    ("days", "severity"),
    [(-181, Severity.LOW), (-180, Severity.MEDIUM), (-1, Severity.MEDIUM), (0, Severity.HIGH), (400, Severity.HIGH)],
)
def test_a_system_grows_worse_as_its_end_comes_near(days: int, severity: Severity) -> None:
    ubuntu = next(image for image in NODE_IMAGES if image.what.startswith("Ubuntu 22.04"))
    day = ubuntu.date + dt.timedelta(days=days)
    header = Header(schema="aks-audit/snapshot/1", tool="test", finished=f"{day}T12:00:00Z")
    pool = {"name": "apps", "mode": "User", "osType": "Linux", "nodeImageVersion": "AKSUbuntu-2204gen2containerd-1"}
    body = {"id": CLUSTER, "properties": {"agentPoolProfiles": [pool]}}
    estate = Estate(of([header, Resource(id=CLUSTER, type=ManagedCluster.TYPE, body=body)]))
    verdict = operating_system_maintained.judge(estate.resource(ManagedCluster, CLUSTER))
    assert verdict.severity is severity
    assert [due.date for due in verdict.due] == [str(ubuntu.date)]
