"""Objects: Swift with one device, one replica and its S3 API."""

from collections.abc import Sequence
from pathlib import Path

from tests.cloud.component import Site
from tests.cloud.ini import Sections, write_ini
from tests.cloud.net import HOST, answers
from tests.cloud.processes import Daemon, run

_STORAGE = ("account", "container", "object")
_PIPELINE = (
    "catch_errors gatekeeper healthcheck cache listing_formats bulk tempurl authtoken s3api s3token keystoneauth "
    "copy container-quotas account-quotas slo dlo versioned_writes symlink proxy-server"
)


class Swift:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._etc = site.layout.etc("swift")

    def prepare(self) -> None:
        site = self._site
        (site.layout.data("swift") / "d1").mkdir(exist_ok=True)
        write_ini(
            self._etc / "swift.conf",
            {
                "swift-hash": {"swift_hash_path_suffix": "tests", "swift_hash_path_prefix": "tests"},
                "storage-policy:0": {"name": "default", "default": "yes"},
            },
        )
        for kind in _STORAGE:
            write_ini(self._config(kind), self._storage(kind))
        write_ini(self._config("proxy"), self._proxy())
        site.layout.once("swift-rings", str(site.layout.first_port), self._make_rings)

    def _config(self, kind: str) -> Path:
        return self._etc / f"{kind}-server.conf"

    def _make_rings(self) -> None:
        builder, log = self._site.program("swift-ring-builder"), self._site.layout.log("swift-rings")
        for kind in _STORAGE:
            path = self._etc / f"{kind}.builder"
            path.unlink(missing_ok=True)
            run([builder, str(path), "create", "8", "1", "0"], log=log)
            run([builder, str(path), "add", f"r1z1-{HOST}:{self._site.layout.port(kind)}/d1", "1"], log=log)
            run([builder, str(path), "rebalance"], log=log)

    def _common(self, kind: str, port: int) -> dict[str, object]:
        return {
            "bind_ip": HOST,
            "bind_port": port,
            "swift_dir": self._etc,
            "user": "root",
            "workers": 1,
            "log_name": kind,
            "log_level": "WARNING",
        }

    def _storage(self, kind: str) -> Sections:
        default = self._common(kind, self._site.layout.port(kind))
        default |= {"devices": self._site.layout.data("swift"), "mount_check": False, "disable_fallocate": True}
        return {
            "DEFAULT": default,
            "pipeline:main": {"pipeline": f"{kind}-server"},
            f"app:{kind}-server": {"use": f"egg:swift#{kind}"},
        }

    def _proxy(self) -> Sections:
        layout = self._site.layout
        options: dict[str, dict[str, object]] = {
            "cache": {"use": "egg:swift#memcache", "memcache_servers": f"{HOST}:{layout.port('memcached')}"},
            "s3token": {
                "auth_uri": layout.auth_url,
                "delay_auth_decision": True,
                **self._site.credentials("swift"),
            },
            "authtoken": {
                "paste.filter_factory": "keystonemiddleware.auth_token:filter_factory",
                "delay_auth_decision": True,
                **self._site.authtoken("swift"),
            },
            "keystoneauth": {"operator_roles": "admin,member"},
            "versioned_writes": {"allow_object_versioning": True},
        }
        filters = [name for name in _PIPELINE.split() if name != "proxy-server"]
        return {
            "DEFAULT": self._common("proxy", layout.port("swift")),
            "pipeline:main": {"pipeline": _PIPELINE},
            "app:proxy-server": {
                "use": "egg:swift#proxy",
                "account_autocreate": True,
                # On a busy machine the only device is slow: it must not count as failed.
                "conn_timeout": 60,
                "node_timeout": 120,
                "error_suppression_limit": 1_000_000,
            },
            **{f"filter:{name}": {**_egg(name), **options.get(name, {})} for name in filters},
        }

    def daemons(self) -> Sequence[Daemon]:
        return [self._daemon(kind) for kind in (*_STORAGE, "proxy")]

    def _daemon(self, kind: str) -> Daemon:
        port = self._site.layout.port("swift" if kind == "proxy" else kind)
        return Daemon(
            f"swift-{kind}",
            # Swift logs to syslog, which may be missing. "verbose" also prints the log.
            [self._site.program(f"swift-{kind}-server"), str(self._config(kind)), "verbose"],
            lambda: answers(f"http://{HOST}:{port}/healthcheck"),
            configs=[
                self._site.installed,
                self._config(kind),
                self._etc / "swift.conf",
                *sorted(self._etc.glob("*.ring.gz")),
            ],
        )


def _egg(name: str) -> dict[str, object]:
    """Return the option that loads a filter of the pipeline from Swift. The filter ``authtoken`` has its own factory."""
    return {} if name == "authtoken" else {"use": f"egg:swift#{name.replace('-', '_')}"}
