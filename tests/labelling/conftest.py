"""Stores of every kind, on this machine."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for fake_hub

STORES = ["local", "memory", "s3", "hub"]


@pytest.fixture(scope="session")
def s3_server():
    """moto's S3 with an empty bucket "labels"; its address."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_ENDPOINT_URL", url),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ):
            patch.setenv(name, value)
        boto3.client("s3", endpoint_url=url).create_bucket(Bucket="labels")
        yield url
    server.stop()


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    """A FakeHub that huggingface_hub takes for the real one."""
    from fake_hub import FakeHub
    from huggingface_hub import constants, hf_api

    server = FakeHub()
    with pytest.MonkeyPatch.context() as patch:
        # HF_ENDPOINT is read when huggingface_hub is imported, which an earlier test may have done.
        patch.setattr(constants, "ENDPOINT", server.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub-cache")))
        patch.setenv("HF_TOKEN", "hf_test")
        assert hf_api.HfApi().endpoint == server.url
        yield server
    server.close()


@pytest.fixture(params=STORES)
def store_address(request, tmp_path) -> str:
    """The address of a new, empty store of each kind."""
    name = secrets.token_hex(4)
    if request.param == "s3":
        request.getfixturevalue("s3_server")
        return f"s3://labels/{name}"
    if request.param == "hub":
        request.getfixturevalue("hub")
        return f"hf://datasets/me/{name}"
    return {"local": str(tmp_path / "store"), "memory": f"memory://{name}"}[request.param]
