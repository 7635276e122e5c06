"""The server around the app: where it listens, who may come in, how much it takes at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HERE = Path(__file__).resolve().parent
LARGEST_REQUEST_BYTES = 4 << 20  # a remembered drawing of five brushed masks is well below one
AT_ONCE = 8  # callbacks running
WAITING = 64  # callbacks in the queue; beyond, a browser is told that the server is busy


@dataclass(frozen=True)
class ServerSettings:
    """Where the app listens, and for whom. `verify` takes name and password; None lets everyone in."""

    host: str = "127.0.0.1"
    port: int | None = None  # the first free one from 7860 on
    share: bool = False
    verify: Callable[[str, str], bool] | None = None


def launch(app: gr.Blocks, settings: ServerSettings, block: bool = True) -> str:
    """Serve the app; returns its local address, at once where `block` is False."""
    app.queue(default_concurrency_limit=AT_ONCE, max_size=WAITING, api_open=False)
    _, url, _ = app.launch(
        server_name=settings.host,
        server_port=settings.port,
        share=settings.share,
        auth=settings.verify,
        auth_message="Sign in to label." if settings.verify else None,
        prevent_thread_lock=not block,
        quiet=True,
        show_error=False,
        footer_links=[],
        max_file_size="1mb",
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        app_kwargs={"middleware": [Middleware(Gate)], "docs_url": None, "redoc_url": None, "openapi_url": None},
        **appearance(),
    )
    return url


def appearance() -> dict[str, Any]:
    """Theme, styles and shortcuts. Nothing of it comes from another server: only fonts that the system has."""
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    head = f"<script>{(HERE / 'shortcuts.js').read_text()}</script>"
    return {"theme": theme, "css": (HERE / "page.css").read_text(), "head": head}


class Gate:
    """ASGI middleware: no uploads, as no component takes any, and no request larger than the limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].rstrip("/").endswith("/upload"):
            await _refuse(send, 403, b"no uploads here")
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > LARGEST_REQUEST_BYTES:
            await _refuse(send, 413, b"request too large")
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > LARGEST_REQUEST_BYTES:  # sent in chunks, without a length
                return {"type": "http.disconnect"}
            return message

        await self._app(scope, counted, send)


async def _refuse(send: Send, status: int, reason: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(reason)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reason})
