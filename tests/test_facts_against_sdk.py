"""Every field that a fact reads exists in the SDK's models, and every enumeration value it knows is known here."""

from enum import StrEnum

import pytest

from aks_audit.facts import field
from sdk_models import MODELS, NO_ENUMERATION, NOT_IN_THE_SDK, enumeration, fields, resolve

FIELDS = [
    pytest.param(view, value, id=f"{view.__name__}.{name}") for view in MODELS for name, value in fields(view).items()
]

CHOICES = [
    param
    for param in FIELDS
    if isinstance(param.values[1], field.Choice) and param.values[1].path not in {*NOT_IN_THE_SDK, *NO_ENUMERATION}
]


@pytest.mark.parametrize(("view", "value"), FIELDS)
def test_field_exists_in_the_model(view: type[field.View], value: field.Field[object]) -> None:
    exists = resolve(view, value.path) is not None
    assert exists is (value.path not in NOT_IN_THE_SDK), f"{view.__name__} has no {value.path}: Azure does not send it"


@pytest.mark.parametrize(("view", "value"), CHOICES)
def test_every_value_of_the_sdk_is_known(view: type[field.View], value: field.Choice[StrEnum]) -> None:
    known = {member.value.lower() for member in value.values}
    sdk = {name.lower() for name in enumeration(view, value.path)}
    assert sdk
    assert sdk <= known
