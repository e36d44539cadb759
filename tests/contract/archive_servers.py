"""Small servers for archives: FTP and HTTP PUT, each with the files of one directory; and a program like rsync."""

import contextlib
import http.server
import shutil
import socket
import socketserver
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

HOST = "127.0.0.1"


class _Ftp(socketserver.StreamRequestHandler):
    """One session of RFC 959, as far as archives need it."""

    directory: ClassVar[Path]
    #: Bytes of an upload after which the server ends; None: never.
    dies_after: ClassVar[int | None] = None

    def handle(self) -> None:
        self._say("220 ready")
        self._path = self.directory
        while line := self.rfile.readline().decode().strip():
            verb, _, argument = line.partition(" ")
            if not getattr(self, f"do_{verb.lower()}", self.do_unknown)(argument):
                return

    def _say(self, text: str) -> bool:
        self.wfile.write(f"{text}\r\n".encode())
        return True

    def do_unknown(self, argument: str) -> bool:
        return self._say("502 unknown")

    def do_user(self, argument: str) -> bool:
        return self._say("331 password" if argument in ("anonymous", "keeper") else "530 no")

    def do_pass(self, argument: str) -> bool:
        return self._say("530 wrong" if argument == "wrong" else "230 welcome")

    def do_type(self, argument: str) -> bool:
        return self._say("200 ok")

    def do_quit(self, argument: str) -> bool:
        self._say("221 bye")
        return False

    def do_cwd(self, argument: str) -> bool:
        self._path = self.directory / argument.strip("/")
        return self._say("250 ok" if self._path.is_dir() else "550 no such directory")

    def do_pasv(self, argument: str) -> bool:
        self._data = socket.create_server((HOST, 0))
        port = self._data.getsockname()[1]
        return self._say(f"227 entering ({HOST.replace('.', ',')},{port >> 8},{port & 255})")

    @contextlib.contextmanager
    def _transfer(self) -> Iterator[socket.socket]:
        self._say("150 go")
        connection, _ = self._data.accept()
        with self._data, connection:
            yield connection
        self._say("226 done")

    def do_stor(self, argument: str) -> bool:
        with self._transfer() as connection, (self._path / argument).open("wb") as file:
            while data := connection.recv(65536):
                file.write(data)
                if self.dies_after is not None and file.tell() > self.dies_after:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return False
        return True

    def do_retr(self, argument: str) -> bool:
        if not (self._path / argument).is_file():
            return self._say("550 no such file")
        with self._transfer() as connection:
            connection.sendall((self._path / argument).read_bytes())
        return True

    def do_nlst(self, argument: str) -> bool:
        names = [path.name for path in self._path.iterdir()]
        if not names:
            return self._say("550 no files")
        with self._transfer() as connection:
            connection.sendall("".join(f"{name}\r\n" for name in names).encode())
        return True

    def do_rnfr(self, argument: str) -> bool:
        self._source = self._path / argument
        return self._say("350 to?")

    def do_rnto(self, argument: str) -> bool:
        self._source.rename(self._path / argument)
        return self._say("250 ok")

    def do_dele(self, argument: str) -> bool:
        try:
            (self._path / argument).unlink()
        except FileNotFoundError:
            return self._say("550 no such file")
        return self._say("250 ok")


class _Http(http.server.BaseHTTPRequestHandler):
    directory: ClassVar[Path]
    dies_after: ClassVar[int | None] = None

    def log_message(self, *args: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        size = int(self.headers["Content-Length"])
        if self.dies_after is not None:
            self.rfile.read(self.dies_after)
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        (self.directory / self.path.strip("/")).write_bytes(self.rfile.read(size))
        self._answer(201)

    def do_GET(self) -> None:
        path = self.directory / self.path.strip("/")
        self._answer(200, path.read_bytes()) if path.is_file() else self._answer(404)

    def do_DELETE(self) -> None:
        path = self.directory / self.path.strip("/")
        self._answer(204 if path.is_file() else 404)
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _running(handler: type[socketserver.BaseRequestHandler], scheme: str, **values: object) -> Iterator[str]:
    kind = type("Handler", (handler,), values)
    with socketserver.ThreadingTCPServer((HOST, 0), kind) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"{scheme}://{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()


def ftp(directory: Path, dies_after: int | None = None) -> contextlib.AbstractContextManager[str]:
    """Serve *directory* over FTP. Yields the URL."""
    return _running(_Ftp, "ftp", directory=directory, dies_after=dies_after)


def http_put(directory: Path, dies_after: int | None = None) -> contextlib.AbstractContextManager[str]:
    """Serve *directory* over HTTP, with PUT. Yields the URL."""
    return _running(_Http, "http", directory=directory, dies_after=dies_after)


_RSYNC = """#!{python}
import pathlib, shutil, sys

words = [word for word in sys.argv[1:] if word.startswith("--")]
source, target = [pathlib.Path(word) for word in sys.argv[1:] if not word.startswith("-")] + [None] * ("--list-only" in words)
if "--list-only" in words:
    for path in source.iterdir():
        print(f"-rw-------      {{path.stat().st_size:,}} 2030/01/01 00:00:00 {{path.name}}")
elif "--delete" in words:
    name = next(word for word in words if word.startswith("--include=/")).partition("/")[2]
    (target / name).unlink(missing_ok=True)
elif source.is_file():
    shutil.copyfile(source, target)
else:
    sys.exit(23)
"""


def install_rsync(directory: Path) -> None:
    """Put a program into *directory* that does what archives need of rsync, unless rsync is installed."""
    if shutil.which("rsync"):
        return
    path = directory / "rsync"
    path.write_text(_RSYNC.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
