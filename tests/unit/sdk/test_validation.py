"""Models with fields that only pydantic can write, and the errors of its validation."""

from ipaddress import IPv4Address
from typing import Any

import pytest
from pydantic import BaseModel, Field, HttpUrl, SecretStr, ValidationError, field_validator

from agnt5 import UnserializableValue
from agnt5.sdk import failures, serde
from agnt5.sdk.usertypes import user_types


class Site(BaseModel):
    url: HttpUrl
    hosts: list[IPv4Address] = []
    port: int = Field(80, gt=0)

    @field_validator("port")
    @classmethod
    def known(cls, port: int) -> int:
        if port == 7:
            raise ValueError("nobody listens there")
        return port


class Vault(BaseModel):
    key: SecretStr


def test_a_field_that_pydantic_can_write_comes_back_as_it_was():
    """Types of a library's own, alone and in containers, keep their type."""
    types = user_types(Site)
    site = Site(url="https://agnt5.example/a?b=c", hosts=["10.0.0.1"])

    again = serde.decode(serde.encode(site, types), types)

    assert again == site
    assert type(again.url) is HttpUrl
    assert type(again.hosts[0]) is IPv4Address
    assert again.model_fields_set == site.model_fields_set


def test_a_field_that_pydantic_writes_differently_is_refused():
    """A secret that would come back as asterisks is an error where it is passed."""
    with pytest.raises(UnserializableValue):
        serde.encode(Vault(key="hunter2"), user_types(Vault))


@pytest.mark.parametrize(
    "values",
    [{"url": "no url", "port": "many"}, {"url": "http://x/", "port": 7}, {"url": "http://x/", "port": -1}, {}],
    ids=["two", "by the user", "by a bound", "missing"],
)
def test_a_validation_error_comes_back_as_it_was(values: dict[str, Any]):
    """Whoever catches it where a step is called finds its type, its lines and its text."""
    with pytest.raises(ValidationError) as raised:
        Site(**values)

    again = failures.read(failures.write(raised.value))

    assert type(again) is ValidationError
    assert str(again) == str(raised.value)
    assert [_without_exceptions(line) for line in again.errors()] == [
        _without_exceptions(line) for line in raised.value.errors()
    ]


def test_an_input_that_cannot_be_journaled_is_kept_as_it_looks():
    """It is there for people; the error keeps its type."""
    with pytest.raises(ValidationError) as raised:
        Site(url=object())

    again = failures.read(failures.write(raised.value))

    assert isinstance(again, ValidationError)
    assert "<object object" in again.errors()[0]["input"]


def _without_exceptions(line: Any) -> Any:
    context = {name: str(value) for name, value in line.get("ctx", {}).items()}
    return {**line, "ctx": context}
