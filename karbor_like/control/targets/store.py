"""Archives in an object store (Swift, S3), by the drivers of banks.

An archive is a folder of objects: its parts, and last the object ``complete``, without which it does not count. It needs a
container of its own, as the collector of a bank would delete it.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import errors as bank_errors
from karbor_like.bank import open_store
from karbor_like.clock import Clock
from karbor_like.control import errors
from karbor_like.control.targets import base
from karbor_like.protection.registry import provider_file

#: Bytes of a part.
PART: Final = 32 * 1024 * 1024
_FOLDER: Final = "archives/"
_COMPLETE: Final = "complete"
_PAGE: Final = 1000
_MAX_PARTS: Final = 1_000_000


class StoreTarget(base.Target):
    """One container.

    :param driver: name of the driver
    :param file: path of a file with the sections of a provider's file that the driver reads
    """

    def __init__(self, location: str, driver: str, file: str, clock: Clock) -> None:
        super().__init__(location)
        path = Path(file)
        if not path.is_file():
            raise exception.InvalidInput(
                f"{file!r} is no file; expected {driver}:FILE with the options of the bank {driver!r} in a provider's file"
            )
        with provider_file.mistakes_of(path):
            conf = cfg.ConfigOpts()
            conf([], project="karbor_like", default_config_files=[str(path)], default_config_dirs=[])
            self._store = open_store(conf, driver, clock)
        provider_file.check_options(path, conf)

    def put(self, name: str, path: Path) -> None:
        number = 0
        with self._failing(), path.open("rb") as file:
            try:
                while part := file.read(PART):
                    self._store.put(_key(name, f"{number:06}"), part)
                    number += 1
                self._store.put(_key(name, _COMPLETE), json.dumps({"parts": number}).encode())
            except BaseException:
                with contextlib.suppress(exception.KarborLikeError):
                    self.delete(name)
                raise

    def get(self, name: str, file: IO[bytes]) -> None:
        with self._failing():
            try:
                content = self._store.get(_key(name, _COMPLETE))
            except bank_errors.ObjectNotFound:
                raise errors.NoSuchArchive(f"{self.address(name)}: there is no such archive") from None
            for number in range(_parts(content)):
                file.write(self._store.get(_key(name, f"{number:06}")))

    def list(self) -> Sequence[str]:
        suffix = f"/{_COMPLETE}"
        return [key.removeprefix(_FOLDER).removesuffix(suffix) for key in self._keys(_FOLDER) if key.endswith(suffix)]

    def delete(self, name: str) -> None:
        with self._failing():
            for key in (_key(name, _COMPLETE), *self._keys(_key(name, ""))):
                with contextlib.suppress(bank_errors.ObjectNotFound):
                    self._store.delete(key)

    def _keys(self, prefix: str) -> Sequence[str]:
        keys: list[str] = []
        with self._failing():
            while True:
                page = self._store.list(prefix, keys[-1] if keys else "", _PAGE)
                keys += (info.key for info in page)
                if len(page) < _PAGE:
                    return keys

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except bank_errors.BankError as error:
            raise errors.TargetFailed(f"{self.location}: {error}") from error


def _key(name: str, part: str) -> str:
    return f"{_FOLDER}{name}/{part}"


def _parts(content: bytes) -> int:
    try:
        parts = json.loads(content)["parts"]
    except (KeyError, RecursionError, TypeError, ValueError):
        parts = None
    if type(parts) is not int or not 0 < parts <= _MAX_PARTS:
        raise errors.BadArchive("the archive: its list of parts is damaged")
    return parts
