"""Checks that objectives return named scalar tensors. Values are not looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ganzoo import registry
from ganzoo.errors import PluginError
from ganzoo.protocols.loss import Loss

if TYPE_CHECKING:
    from ganzoo.component import Component


class TermChecks:
    """Checks, once in a training, what each method of a component returns as its terms.

    Types and shapes are known without waiting for the device.
    """

    def __init__(self) -> None:
        self._checked: set[tuple[type[Component], str]] = set()

    def check(self, component: Component, method: Callable[..., Any], terms: Any) -> None:
        """Check what a method returned, unless terms of it were checked before.

        Args:
            component: A loss, a penalty or an architecture.
            method: Its method.
            terms: What that returned. Only a loss must always have terms.

        Raises:
            PluginError: it is no dict of scalar tensors; the message names the package.
        """
        key = type(component), method.__name__
        if key in self._checked:
            return
        may_be_empty = not isinstance(component, Loss)
        fault = find_fault(terms, f"{method.__name__}()", may_be_empty=may_be_empty)
        if fault:
            raise PluginError(f"{_name_component(component)}: {fault}")
        if terms:
            self._checked.add(key)


def find_fault(terms: Any, subject: str, *, may_be_empty: bool = False) -> str:
    """Say what is wrong with terms; nothing if they are scalar tensors by name.

    Args:
        terms: What a method returned.
        subject: What messages call the method.
        may_be_empty: Whether there may be none.
    """
    if not isinstance(terms, dict) or not (terms or may_be_empty):
        given = terms if isinstance(terms, dict) or terms is None else type(terms).__name__
        return f"{subject} must return a dict of named terms, such as {{'real': ...}}, not {given}"
    for name, term in terms.items():
        if not (isinstance(name, str) and isinstance(term, Tensor) and term.dim() == 0):
            return f"term {name!r} must be a scalar tensor: take the mean over the batch"
        if not term.is_floating_point():
            return f"term {name!r} must be of floats, not of {term.dtype}"
    return ""


def _name_component(component: Component) -> str:
    """Return a component's kind, name, package and version; its class if it is not installed."""
    cls = type(component)
    entry = registry.find_entry(cls)
    return entry.title if entry else f"{cls.__module__}.{cls.__qualname__}"
