"""nginx in front of nodes, with a configuration of the documentation.

On the page the nodes listen on 8001 and 8002, and nginx on 80; here these stand for ports that are free.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.docs.pages import DOCS
from tests.packages import program_of_package
from tests.ports import free_port
from tests.waiting import wait_until

__all__ = ["CONFIGURATIONS", "Nginx", "nginx_program"]

CONFIGURATIONS = DOCS / "examples" / "nginx"
_STOP_SECONDS = 10.0
_MAIN = """
daemon off;
master_process on;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
{user}
events {{ worker_connections 1024; }}
http {{
    log_format routes '$remote_addr $upstream_addr $status $request_method $arg_sid';
    access_log {folder}/access.log routes;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    # Clients of a test say where they come from, as if another proxy stood in front.
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Forwarded-For;
    include {folder}/site.conf;
}}
"""


@cache
def nginx_program() -> str:
    """Return the path of nginx; skips the test if it is not there, and cannot be installed."""
    return program_of_package("nginx-light", _find)


class Nginx:
    """nginx with one configuration. You must call `stop` at the end.

    Args:
        folder: an empty one.
        name: of the file in the documentation's examples.
        nodes: ports that stand for those on the page.

    Attributes:
        url: where clients connect to.
    """

    def __init__(self, folder: Path, name: str, nodes: Sequence[int]) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._folder = folder
        self._site = folder / "site.conf"
        folder.mkdir(parents=True)
        text = (CONFIGURATIONS / name).read_text(encoding="utf-8").replace("listen 80;", f"listen {port};")
        for number, node in enumerate(nodes, start=1):
            text = text.replace(f"127.0.0.1:800{number}", f"127.0.0.1:{node}")
        self._site.write_text(text, encoding="utf-8")
        user = "user root;" if os.getuid() == 0 else ""  # the folder of a test is not everybody's
        (folder / "nginx.conf").write_text(_MAIN.format(folder=folder, user=user), encoding="utf-8")
        self._errors = (folder / "errors.log").open("wb")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Check the configuration, start, and wait until nginx listens."""
        command = [nginx_program(), "-p", str(self._folder), "-c", str(self._folder / "nginx.conf")]
        checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        self._process = subprocess.Popen(command, stdout=self._errors, stderr=self._errors)
        wait_until(self._listens, what="nginx listens")

    def replace(self, old: str, new: str) -> None:
        """Change the configuration; `reload` puts it into force."""
        text = self._site.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {text}"
        self._site.write_text(text.replace(old, new), encoding="utf-8")

    def reload(self) -> None:
        """Do as ``nginx -s reload``, and wait until new workers have taken over from the old ones."""
        before = self._workers()
        assert self._process is not None, "it was started"
        self._process.send_signal(signal.SIGHUP)
        wait_until(lambda: self._workers() - before, what="nginx has new workers")

    def routes(self) -> list[tuple[str, int]]:
        """For each request that is over: the client's address, and the port of the node that answered."""
        lines = (self._folder / "access.log").read_text(encoding="utf-8").splitlines()
        found = (re.match(r"(\S+) (?:\S+, )*\S+:(\d+) ", line) for line in lines)
        return [(match[1], int(match[2])) for match in found if match]

    def stop(self) -> None:
        """End nginx and its workers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                for worker in self._workers():
                    os.kill(worker, signal.SIGKILL)
                self._process.kill()
                self._process.wait()
        self._errors.close()
        print((self._folder / "errors.log").read_text())  # noqa: T201 - pytest shows it with a failure

    def _listens(self) -> bool:
        assert self._process is not None, "it was started"
        assert self._process.poll() is None, (self._folder / "errors.log").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
            return True
        return False

    def _workers(self) -> set[int]:
        assert self._process is not None, "it was started"
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
        return {int(child) for child in children.split()}


def _find() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
