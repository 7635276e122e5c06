"""`cinetrack label`: what it refuses before it serves."""

from __future__ import annotations

import socket

import pytest

from cinetrack.cli.main import main


@pytest.mark.parametrize("options", [["--port", "99999"], ["--port", "0"], ["--host", "198.51.100.7"]])
def test_an_address_that_cannot_be_listened_on_is_bad_input(options, dataset, tmp_path, capsys):
    assert main(["label", str(dataset), "--store", str(tmp_path / "labels"), *options]) == 2
    assert "expected" in capsys.readouterr().err


def test_a_taken_port_is_bad_input(dataset, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["label", str(dataset), "--store", str(tmp_path / "labels"), "--port", str(port)]) == 2
    assert f"127.0.0.1:{port}: expected a free port" in capsys.readouterr().err


def test_a_public_link_needs_users(dataset, capsys):
    assert main(["label", str(dataset), "--share"]) == 2
    assert "--auth" in capsys.readouterr().err
