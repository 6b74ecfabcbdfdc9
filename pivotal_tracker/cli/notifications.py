"""Tells Slack and Sentry how a run ended."""

from __future__ import annotations

import html

import requests
from dlt.common import logger
from dlt.common.configuration import resolve_configuration
from dlt.common.configuration.specs import RuntimeConfiguration

SECONDS_FOR_SLACK = 10
"""So long is waited for Slack; dlt's own sender would wait for ever, and the next run with it."""


def tell_slack(text: str) -> None:
    """Posts to the channel of `[runtime] slack_incoming_hook`, if there is one.

    A message that cannot be delivered is a line in the log and no more.

    Args:
        text: What to say.
    """
    hook = resolve_configuration(RuntimeConfiguration()).slack_incoming_hook
    if not hook:
        return
    try:
        message = {"text": html.escape(text, quote=False)}
        requests.post(hook, json=message, timeout=SECONDS_FOR_SLACK).raise_for_status()
    except requests.RequestException as error:
        # the text of the error has the hook in it, which is a secret
        answer = "" if error.response is None else f" {error.response.status_code}"
        logger.error(f"Slack could not be told: {type(error).__name__}{answer}")


def tell_sentry(error: BaseException) -> None:
    """Sends an error to the project of `[runtime] sentry_dsn`, if there is one.

    Args:
        error: What the run failed with.
    """
    if not resolve_configuration(RuntimeConfiguration()).sentry_dsn:
        return
    import sentry_sdk

    sentry_sdk.capture_exception(error)
    sentry_sdk.flush(timeout=10)


def keep_variables_from_sentry() -> None:
    """Has errors reported without the values of variables, a token perhaps among them."""
    if resolve_configuration(RuntimeConfiguration()).sentry_dsn:
        import sentry_sdk

        sentry_sdk.get_client().options["include_local_variables"] = False
