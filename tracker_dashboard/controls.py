"""Widgets whose values are in the address: what it says is shown, and a change changes it.

Streamlit can bind a widget to a parameter by itself, but then the address contains the texts of
options, and parameters are lost when another page is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date
from typing import Any, TypeVar

import streamlit as st

from .links import Params, last_value, params_of_address

Option = TypeVar("Option")


def set_param(name: str, value: Any, drops: Sequence[str] = ()) -> None:
    """Put a value into the address, or remove an empty one, and remove those it outdates."""
    params = {
        other: values
        for other, values in params_of_address().items()
        if other not in (name, *drops)
    }
    if value not in (None, "", []):
        params[name] = [str(one) for one in (value if isinstance(value, list) else [value])]
    # in one step, as Back would return to each address in between
    st.query_params.from_dict(params)


def _bind(name: str, value: Any, drops: Sequence[str]) -> dict[str, Any]:
    """Return the `key` and `on_change` of a widget that shows a parameter of the address."""
    key = f"param_{name}"
    st.session_state[key] = value
    return {
        "key": key,
        "on_change": lambda: set_param(name, st.session_state[key], drops),
    }


def choice_in(params: Params, name: str, options: Sequence[Option], default: Option) -> Option:
    """Return the option whose text is a parameter, or the default."""
    by_text = {str(option): option for option in options}
    return by_text.get(last_value(params, name), default)


def choices_in(
    params: Params, name: str, options: Sequence[str], default: Sequence[str]
) -> list[str]:
    """Return the values of a parameter that are options, or the default."""
    return [value for value in params.get(name, ()) if value in options] or list(default)


def text_param(label: str, name: str, drops: Sequence[str] = ("page",), **options: Any) -> str:
    """Show a text field."""
    value = st.query_params.get(name, "")
    st.text_input(label, **_bind(name, value, drops), **options)
    return value


def choice_param(
    label: str,
    name: str,
    options: Sequence[Option],
    default: Option,
    format_func: Callable[[Any], str] = str,
    drops: Sequence[str] = ("page",),
    widget: Callable[..., Any] = st.selectbox,
    **more: Any,
) -> Option:
    """Show a choice of one option; the address holds `str(option)`, and nothing for the default."""
    value = choice_in(params_of_address(), name, options, default)
    bound = _bind(name, value, drops)
    key = bound["key"]

    def change() -> None:
        chosen = st.session_state[key]
        set_param(name, None if chosen is None or chosen == default else chosen, drops)

    widget(label, options, format_func=format_func, key=key, on_change=change, **more)
    return value


def choices_param(
    label: str,
    name: str,
    options: Sequence[str],
    default: Sequence[str] = (),
    widget: Callable[..., Any] = st.multiselect,
    drops: Sequence[str] = ("page",),
    **more: Any,
) -> list[str]:
    """Show a choice of several options."""
    value = choices_in(params_of_address(), name, options, default)
    bound = _bind(name, value, drops)
    key = bound["key"]

    def change() -> None:
        chosen = list(st.session_state[key])
        set_param(name, [] if sorted(chosen) == sorted(default) else chosen, drops)

    widget(label, options, key=key, on_change=change, **more)
    return value


def date_param(label: str, name: str, default: date, earliest: date, latest: date) -> date:
    """Show a choice of a day."""
    value = default
    with suppress(ValueError):
        value = date.fromisoformat(st.query_params.get(name, ""))
    value = min(max(value, earliest), latest)
    st.date_input(
        label, **_bind(name, value, ()), min_value=earliest, max_value=latest, format="YYYY-MM-DD"
    )
    return value


def page_param(pages: int) -> int:
    """Show a choice of a page of a list, which starts with 1."""
    typed = st.query_params.get("page", "1")
    value = min(max(int(typed), 1), pages) if typed.isdecimal() and len(typed) < 9 else 1
    # a key of its own for each page, as the state must not override the default of `st.pagination`
    key = f"param_page_{value}"

    def change() -> None:
        set_param("page", None if st.session_state[key] == 1 else st.session_state[key])

    if pages > 1:
        st.pagination(pages, default=value, key=key, on_change=change)
    return value
