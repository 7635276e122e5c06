"""resources/fetch_sam2.sh against a local HTTP server that understands Range, as Meta's does."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CHECKPOINT = bytes(range(256)) * 4000
SUM = hashlib.sha256(CHECKPOINT).hexdigest()


class CheckpointServer(BaseHTTPRequestHandler):
    """Serves CHECKPOINT, in part where asked, at any path but /missing/..."""

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if self.path.startswith("/missing/"):
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(CHECKPOINT) - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(CHECKPOINT) - 1}/{len(CHECKPOINT)}")
        self.end_headers()
        self.wfile.write(CHECKPOINT[start:])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), CheckpointServer) as running:
        running.ranges = []
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()


@pytest.fixture
def fetch(server, tmp_path):
    def run(folder: str = "weights", sha256: str = SUM) -> subprocess.CompletedProcess:
        url = f"http://127.0.0.1:{server.server_port}/{folder}/sam2.1_hiera_small.pt"
        weights = tmp_path / "weights.txt"
        weights.write_text(f"# mirror\n{sha256} {len(CHECKPOINT)} {url}\n")
        environment = os.environ | {"SAM2_WEIGHTS": str(weights), "no_proxy": "127.0.0.1"}
        command = [REPOSITORY / "resources/fetch_sam2.sh", tmp_path / "checkpoint.pt"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    return run


def leftovers(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.iterdir() if path.name != "weights.txt")


def test_a_fresh_download_is_verified_and_put_in_place(fetch, tmp_path):
    result = fetch()
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "checkpoint.pt").read_bytes() == CHECKPOINT
    assert leftovers(tmp_path) == ["checkpoint.pt"]


def test_a_partial_download_is_resumed_where_it_stopped(fetch, server, tmp_path):
    (tmp_path / "checkpoint.pt.part").write_bytes(CHECKPOINT[:300_000])
    result = fetch()
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "checkpoint.pt").read_bytes() == CHECKPOINT
    assert server.ranges == ["bytes=300000-"]


def test_a_complete_part_is_not_downloaded_again(fetch, server, tmp_path):
    (tmp_path / "checkpoint.pt.part").write_bytes(CHECKPOINT)
    assert fetch().returncode == 0
    assert server.ranges == []
    assert leftovers(tmp_path) == ["checkpoint.pt"]


def test_a_checkpoint_that_is_already_there_is_left_alone(fetch, server, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(CHECKPOINT)
    result = fetch()
    assert result.returncode == 0
    assert "already there" in result.stderr
    assert server.ranges == []


def test_another_file_under_the_checkpoints_name_is_an_error_and_is_kept(fetch, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"my own weights")
    result = fetch()
    assert result.returncode == 1
    assert f"expected sha256 {SUM}, found another" in result.stderr
    assert (tmp_path / "checkpoint.pt").read_bytes() == b"my own weights"


def test_a_download_with_the_wrong_checksum_is_deleted(fetch, tmp_path):
    result = fetch(sha256="0" * 64)
    assert result.returncode == 1
    assert f"expected sha256 {'0' * 64}, found {SUM}" in result.stderr
    assert leftovers(tmp_path) == []


def test_a_damaged_partial_download_does_not_pass_and_does_not_block_the_next_try(fetch, tmp_path):
    (tmp_path / "checkpoint.pt.part").write_bytes(b"x" * 300_000)
    assert fetch().returncode == 1
    assert fetch().returncode == 0
    assert (tmp_path / "checkpoint.pt").read_bytes() == CHECKPOINT


def test_a_missing_file_on_the_server_is_named_with_its_url(fetch, server, tmp_path):
    result = fetch(folder="missing")
    assert result.returncode == 1
    assert f"http://127.0.0.1:{server.server_port}/missing/sam2.1_hiera_small.pt" in result.stderr
    assert not (tmp_path / "checkpoint.pt").exists()


def test_the_published_list_names_sam2_small():
    lines = (REPOSITORY / "resources/upstream_weights.txt").read_text().splitlines()
    published = {url.rsplit("/", 1)[1]: (sha, int(size)) for sha, size, url in map(str.split, lines[1:])}
    sha, size = published["sam2.1_hiera_small.pt"]
    assert sha.startswith("6d1aa6f3") and sha.endswith("ad5dc4d38")
    assert size == 184_416_285
