"""Who a request comes from: the `--auth` user, the Hugging Face account on a Space, or a guest's browser."""

from __future__ import annotations

import secrets
from typing import Any

import gradio as gr

from cinetrack.errors import InputError
from cinetrack.labelling.service import Person

BROWSER_ID_LENGTH = 16  # hexadecimal digits


class Identity:
    """Remembers which browser each page belongs to.

    Args:
        hub_sign_in: names come from a Hugging Face sign-in, and there is no work without one.
        allowed: the accounts that may label; everyone who signs in where empty.
    """

    def __init__(self, hub_sign_in: bool = False, allowed: frozenset[str] = frozenset()) -> None:
        self.hub_sign_in = hub_sign_in
        self._allowed = allowed
        self._browsers: dict[str, str] = {}

    def arrive(self, request: gr.Request, remembered: Any) -> str:
        """Note a newly loaded page; returns its browser's id, a new one where it remembers none."""
        known = remembered.get("browser") if isinstance(remembered, dict) else None
        if isinstance(known, str) and len(known) == BROWSER_ID_LENGTH and not set(known) - set("0123456789abcdef"):
            browser = known
        else:
            browser = secrets.token_hex(BROWSER_ID_LENGTH // 2)
        self._browsers[page_of(request)] = browser
        return browser

    def leave(self, page: str) -> None:
        """Forget a closed page."""
        self._browsers.pop(page, None)

    def person(self, request: gr.Request) -> Person:
        """Who asks. Raises InputError for a page from before a restart, and without the sign-in that is wanted."""
        browser = self._browsers.get(page_of(request))
        if browser is None:
            raise InputError("page: this page is from before the server was restarted; reload it, your drawing is kept")
        if self.hub_sign_in:
            name = _hub_account(request)
            if name is None:
                raise InputError("Sign in with Hugging Face first, by the button on top")
            if self._allowed and name not in self._allowed:
                raise InputError(f"The account {name} is not among those that may label here")
        else:
            name = request.username or f"guest-{browser[:4]}"
        return Person(name, browser)


def page_of(request: gr.Request) -> str:
    """Gradio's name of the page that asks. Raises InputError for a call from outside a page."""
    if request.session_hash is None:
        raise InputError("page: expected a call from a page, found one without a session")
    return request.session_hash


def _hub_account(request: gr.Request) -> str | None:
    # Gradio puts the account there after OAuth; the session is a signed cookie, so browsers cannot make one up.
    if request.request is None:
        return None
    session = request.request.scope.get("session") or {}
    return session.get("oauth_info", {}).get("userinfo", {}).get("preferred_username")
