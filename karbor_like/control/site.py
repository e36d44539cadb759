"""The first member of an archive: where the files of the site were."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from oslo_config import cfg

from karbor_like.control import archive, contents, errors

MEMBER: Final = "site.json"


@dataclass(frozen=True)
class Site:
    """What a restore must know before it looks at the files.

    :param etc: the configuration directory
    :param config_files: names of the members that are main configuration files, in their order
    :param config_dirs: names of the directories of members that are configuration directories, in their order
    """

    etc: str
    config_files: Sequence[str]
    config_dirs: Sequence[str]

    @classmethod
    def of(cls, conf: cfg.ConfigOpts, files: contents.Files) -> "Site":
        """Describe the site that *conf* configures."""

        def names(paths: Any) -> list[str]:
            return [contents.member_name(files.etc, contents.absolute(path)) for path in paths or ()]

        return cls(str(files.etc), names(conf.config_file), names(conf.config_dir))

    def member(self) -> archive.Member:
        """Return the member of an archive."""
        return archive.Member(MEMBER, json.dumps(asdict(self)).encode())

    @classmethod
    def parse(cls, member: archive.Member) -> "Site":
        """Decode a member. Raises BadArchive."""
        try:
            site = cls(**json.loads(member.data))
            for name in (*site.config_files, *site.config_dirs):
                if name != contents.ETC:
                    archive.check_name(name)
            Path(site.etc)
        except (AttributeError, RecursionError, TypeError, ValueError):
            raise errors.BadArchive(f"the archive: {MEMBER} is damaged") from None
        return site
