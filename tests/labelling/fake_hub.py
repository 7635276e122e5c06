"""A server on this machine that speaks the Hub's calls which a store uses, with commits and stale parents.

Files travel inside the commit. The real Hub has large binary ones sent through its Xet storage first, by
huggingface_hub's own compiled client, which this server does not speak.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse


class FakeHub:
    """Dataset repositories in memory; `url` is its HF_ENDPOINT."""

    def __init__(self) -> None:
        self.commits: dict[str, list[dict[str, bytes]]] = {}
        self.refused = 0  # commits whose parent was not the newest
        self.lock = threading.Lock()
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def files(self, repo: str) -> dict[str, bytes]:
        return self.commits[repo][-1]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def sha(repo: str, number: int) -> str:
    return hashlib.sha1(f"{repo}@{number}".encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        parts = [unquote(part) for part in urlparse(self.path).path.strip("/").split("/")]
        if parts == ["api", "whoami-v2"]:
            return self.answer(
                200, {"type": "user", "id": "1", "name": "anna", "fullname": "Anna", "avatarUrl": "", "orgs": []}
            )
        if parts[:2] == ["api", "datasets"] and len(parts) >= 4:
            repo = "/".join(parts[2:4])
            if repo not in self.hub.commits:
                return self.answer(404, {}, {"X-Error-Code": "RepoNotFound"})
            commits = self.hub.commits[repo]
            if len(parts) == 4 or parts[4] == "revision":
                return self.answer(200, {"id": repo, "sha": sha(repo, len(commits) - 1), "private": True, "tags": []})
            if parts[4] == "tree":
                files = self.at(repo, parts[5])
                folder = "/".join(parts[6:])
                found = [name for name in files if not folder or name.startswith(folder + "/")]
                if folder and not found:
                    return self.answer(404, {}, {"X-Error-Code": "EntryNotFound"})
                tree = [{"type": "file", "path": name, "size": len(files[name]), "oid": "0" * 40} for name in found]
                return self.answer(200, tree)
        if parts[0] == "datasets" and parts[3] == "resolve":
            repo, name = "/".join(parts[1:3]), "/".join(parts[5:])
            files = self.at(repo, parts[4])
            if name not in files:
                return self.answer(404, {}, {"X-Error-Code": "EntryNotFound"})
            etag = hashlib.sha256(files[name]).hexdigest()
            return self.answer(200, files[name], {"X-Repo-Commit": parts[4], "ETag": f'"{etag}"'})
        return self.answer(404, {"error": self.path})

    def do_POST(self):
        path, body = urlparse(self.path).path, self.body()
        parts = path.strip("/").split("/")
        if path == "/api/repos/create":
            wanted = json.loads(body)
            repo = f"{wanted.get('organization', 'me')}/{wanted['name']}"
            if repo in self.hub.commits:
                return self.answer(409, {"url": f"{self.hub.url}/datasets/{repo}"})
            self.hub.commits[repo] = [{}]
            return self.answer(200, {"url": f"{self.hub.url}/datasets/{repo}"})
        repo = "/".join(parts[2:4])
        if parts[4] == "preupload":
            modes = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": modes})
        if parts[4] == "commit":
            return self.commit(repo, [json.loads(line) for line in body.splitlines()])
        return self.answer(404, {"error": path})

    def commit(self, repo: str, lines: list[dict]) -> None:
        with self.hub.lock:
            commits = self.hub.commits[repo]
            parent = lines[0]["value"].get("parentCommit")
            if parent is not None and parent != sha(repo, len(commits) - 1):
                self.hub.refused += 1
                self.answer(412, {"error": "A commit has happened since. Please refresh and try again."})
                return
            files = dict(commits[-1])
            for line in lines[1:]:
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "deletedFile":
                    del files[value["path"]]
            commits.append(files)
            number = len(commits) - 1
        self.answer(
            200, {"commitUrl": f"{self.hub.url}/datasets/{repo}/commit/{number}", "commitOid": sha(repo, number)}
        )

    def at(self, repo: str, revision: str) -> dict[str, bytes]:
        commits = self.hub.commits[repo]
        return next((files for n, files in enumerate(commits) if sha(repo, n) == revision), commits[-1])

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status: int, content, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
