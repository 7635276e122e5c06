"""The app as it runs in a Space: Hugging Face sign-in, labels committed to a dataset repository."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from browser import CHROMIUM, CHROMIUM_OPTIONS, DISC, REPOSITORY, Labeller  # noqa: E402

from cinetrack.errors import InputError  # noqa: E402
from cinetrack.labelling.web.identity import Identity  # noqa: E402

playwright = pytest.importorskip("playwright.sync_api")


def request_of(account: str | None, username: str | None = None, page: str = "page1"):
    session = {"oauth_info": {"userinfo": {"preferred_username": account}}} if account else {}
    return SimpleNamespace(session_hash=page, username=username, request=SimpleNamespace(scope={"session": session}))


def test_there_is_no_work_without_the_sign_in_that_is_wanted():
    identity = Identity(hub_sign_in=True, allowed=frozenset({"anna"}))
    browser = identity.arrive(request_of(None), None)
    with pytest.raises(InputError, match="Sign in"):
        identity.person(request_of(None))
    with pytest.raises(InputError, match="ben is not among those"):
        identity.person(request_of("ben"))
    assert identity.person(request_of("anna")).name == "anna" and identity.person(request_of("anna")).browser == browser


def test_a_name_comes_from_the_sign_in_and_never_from_the_browsers_memory():
    identity = Identity()
    identity.arrive(request_of(None, "anna"), {"browser": "0123456789abcdef", "name": "ben"})
    assert identity.person(request_of(None, "anna")).name == "anna"
    assert identity.person(request_of(None, None)).name == "guest-0123"


@pytest.mark.parametrize("remembered", [None, {"browser": 7}, {"browser": "../../../../etc/"}, {"browser": "x" * 16}])
def test_an_unusable_browser_id_is_replaced(remembered):
    browser = Identity().arrive(request_of(None), remembered)
    assert len(browser) == 16 and set(browser) <= set("0123456789abcdef")


def test_a_page_from_before_a_restart_is_told_to_reload():
    with pytest.raises(InputError, match="reload"):
        Identity().person(request_of(None))


@pytest.mark.parametrize(
    ("missing", "message"),
    [("CINETRACK_LABELLERS", "CINETRACK_LABELLERS"), ("GRADIO_SERVER_NAME", "expected 127.0.0.1")],
)
def test_a_space_that_would_be_open_to_anyone_does_not_start(missing, message, dataset, tmp_path):
    given = {
        "CINETRACK_DATASET": str(dataset),
        "CINETRACK_STORE": str(tmp_path),
        "CINETRACK_LABELLERS": "anna",
        "GRADIO_SERVER_NAME": "127.0.0.1",
    }
    del given[missing]
    environment = {**os.environ, **given, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, str(REPOSITORY / "deploy" / "space" / "app.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and message in done.stderr


@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no browser at {CHROMIUM}")
def test_a_signed_in_labellers_label_is_committed_to_the_hub(dataset, hub):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    repository = f"me/{secrets.token_hex(4)}"
    environment = {
        **os.environ,
        "CINETRACK_DATASET": str(dataset),
        "CINETRACK_STORE": f"hf://datasets/{repository}",
        "CINETRACK_BUNDLE": str(REPOSITORY / "resources" / "static"),
        "CINETRACK_LABELLERS": "anna, ben",
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": "hf_test",
        "PYTHONPATH": str(REPOSITORY),
    }
    process = subprocess.Popen([sys.executable, "app.py"], cwd=REPOSITORY / "deploy" / "space", env=environment)
    try:
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
            labeller = Labeller(browser.new_page())
            for _ in range(100):
                if process.poll() is None and _answers(port):
                    break
                labeller.page.wait_for_timeout(300)
            labeller.page.goto(f"http://127.0.0.1:{port}/")
            labeller.says("Sign in with Hugging Face first")
            labeller.page.get_by_role("button", name="Sign in with Hugging Face").click()
            labeller.ready()
            case_id = labeller.case_id
            labeller.draw_box(*DISC)
            labeller.says("1 box")
            labeller.press("accept")
            labeller.says(f"{case_id} is stored")
            browser.close()
    finally:
        process.kill()
        process.wait()
    entry = json.loads(hub.files(repository)[f"labels/{case_id}/0001.json"])
    assert entry["meta"]["user"] == "anna"
    assert f"{entry['folder']}/masks.png" in hub.files(repository)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
