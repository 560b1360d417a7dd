"""A service is a group of components that others call by the names of service and method."""

import pytest

from agnt5 import InvalidInput, UnknownComponent, durable, function, workflow
from agnt5.sdk.methods import find_method
from agnt5.sdk.registry import REGISTRY


async def charge(payload: dict[str, int]) -> int:
    return payload["amount"]


async def refund(payload: dict[str, int]) -> int:
    return -payload["amount"]


def test_a_plain_function_becomes_a_component_of_the_service():
    """Under the service's name, so that two services may have methods of one name."""
    one, two = durable.service("payments"), durable.service("ledger")

    one.add_function(charge)
    two.add_function(refund, "charge")

    assert find_method("payments", "charge").fn is charge
    assert find_method("ledger", "charge").fn is refund
    assert REGISTRY.get("payments.charge") is find_method("payments", "charge")


def test_a_component_is_added_as_it_is():
    """By the decorator or later; its own settings stay."""
    service = durable.service("payments")

    @function(service=service, retries=7)
    async def pay(payload: dict[str, int]) -> None: ...

    @workflow
    async def settle() -> None: ...

    service.add_function(settle, name="finish")

    assert find_method("payments", "pay") is pay
    assert find_method("payments", "finish") is settle


def test_two_methods_of_one_name_are_a_mistake():
    """Callers name the service and the method, and nothing else; the same again is fine."""
    service = durable.service("payments")
    pay = function(name="pay_one")(charge)
    service.add_function(pay, "pay")
    service.add_function(pay, "pay")

    with pytest.raises(InvalidInput, match="two methods"):
        service.add_function(function(name="pay_two")(refund), "pay")


def test_what_a_service_is_made_of():
    """As plain values, for those who list it."""
    service = durable.service("payments", "2.1.0")
    service.add_function(charge)

    assert service.get_service_config() == {
        "name": "payments",
        "version": "2.1.0",
        "functions": [{"name": "charge", "component": "payments.charge", "kind": "function"}],
        "objects": [],
    }


@pytest.mark.parametrize(("service", "method", "said"), [("nowhere", "pay", "nowhere"), ("empty", "pay", "no method")])
def test_what_isnt_there_is_named(service: str, method: str, said: str):
    """Service and method, what is known instead, and how to add it."""
    durable.service("empty")

    with pytest.raises(UnknownComponent, match=said) as caught:
        find_method(service, method)

    assert "add_function(pay)" in caught.value.fix


@pytest.mark.parametrize("name", ["", None, 7, "a\nb"])
def test_a_service_has_a_name(name: str):
    """One that can be typed."""
    with pytest.raises(InvalidInput):
        durable.service(name)
