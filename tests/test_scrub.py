"""What is taken out of a value is what is taken out of each of its strings and properties alone."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aks_audit.sources.scrub import SECRET_KEYS, scrub

TEXTS = st.one_of(
    st.sampled_from(
        [
            "https://user:pa55@proxy:8080/",
            "https://store.blob.core.windows.net/a?sv=1&sig=abc%3D",
            "eyJ0eXAiOiJKV1QifQ.c3RhbmQtaW4.c2lnbmF0dXJl",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
            "AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net",
            "/subscriptions/s/resourceGroups/g",
        ]
    ),
    st.text(max_size=30),
)
KEYS = st.one_of(
    st.sampled_from([*sorted(SECRET_KEYS), "adminPassword", "id", "my-token", "pass=word1", "tags"]), TEXTS
)
JSON = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)


def plainly(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The same without a thought for speed: a new value, made of each name and each string by itself."""
    if isinstance(value, dict):
        kept: dict[str, Any] = {}
        for key, item in value.items():
            for name in scrub({key: "" if isinstance(item, str) else None}):
                kept[name] = plainly(item)
        return kept
    if isinstance(value, list):
        return [plainly(item) for item in value]
    return scrub(value)


@given(JSON)
def test_a_value_is_scrubbed_as_its_parts_are(value: Any) -> None:  # noqa: ANN401 - any JSON value
    expected = plainly(copy.deepcopy(value))
    assert scrub(value) == expected


@given(JSON)
def test_what_is_scrubbed_is_the_value_itself(value: Any) -> None:  # noqa: ANN401 - any JSON value
    assert isinstance(value, str) or scrub(value) is value
