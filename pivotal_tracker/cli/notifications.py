"""Tells Slack and Sentry how a run ended."""

from __future__ import annotations

import html
from typing import Any

import requests
from dlt.common import logger
from dlt.common.configuration import resolve_configuration
from dlt.common.configuration.specs import RuntimeConfiguration

from ..redaction import redact, redact_values

SECONDS_FOR_SLACK = 10
"""So long is waited for Slack; dlt's own sender would wait for ever, and the next run with it."""


def tell_slack(text: str) -> None:
    """Post to the channel of `[runtime] slack_incoming_hook`, if there is one.

    A message that cannot be delivered is a line in the log and no more.

    Args:
        text: What to say.
    """
    hook = resolve_configuration(RuntimeConfiguration()).slack_incoming_hook
    if not hook:
        return
    try:
        message = {"text": html.escape(redact(text), quote=False)}
        requests.post(hook, json=message, timeout=SECONDS_FOR_SLACK).raise_for_status()
    except requests.RequestException as error:
        # the text of the error has the hook in it, which is a secret
        answer = "" if error.response is None else f" {error.response.status_code}"
        logger.error(f"Slack could not be told: {type(error).__name__}{answer}")


def tell_sentry(error: BaseException) -> None:
    """Send an error to the project of `[runtime] sentry_dsn`, if there is one.

    Args:
        error: What the run failed with.
    """
    if not resolve_configuration(RuntimeConfiguration()).sentry_dsn:
        return
    import sentry_sdk

    sentry_sdk.capture_exception(error)
    sentry_sdk.flush(timeout=10)


def keep_variables_from_sentry() -> None:
    """Have errors reported without the values of variables, and with secrets redacted."""
    if resolve_configuration(RuntimeConfiguration()).sentry_dsn:
        import sentry_sdk

        options = sentry_sdk.get_client().options
        options["include_local_variables"] = False
        options["before_send"] = _without_secrets


def _without_secrets(event: Any, hint: Any) -> Any:
    return redact_values(event)
