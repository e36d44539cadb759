"""A bank: checkpoints in an object store. This module is the public interface of the package.

Other packages import only the names below, ``errors``, ``verify`` and ``collector``; import-linter enforces that. Write a
checkpoint, read it back and collect garbage::

    bank = open_bank(conf, "filesystem", clock)
    with bank.leases.acquire(holder="host:pid protect", kind="write") as lease:
        bank.checkpoints.create(record, lease)
        section = bank.section(record.id, record.project_id, "OS::Cinder::Volume#1", lease=lease)
        section.put("metadata", {"name": "disk"})
        section.write("data", [b"first ", b"second"], size=12)
        bank.checkpoints.commit(record.id, lease)

    newest = bank.checkpoints.index.list(project_id=record.project_id, limit=1)[0]
    section = bank.section(newest.id, newest.project_id, "OS::Cinder::Volume#1")
    with section.read("data") as reader:
        data = b"".join(bytes(chunk) for chunk in reader)

    findings = list(verify.full(bank))
    report = collector.Collector(bank).run()
    bank.close()

Of this project, the package imports only ``exception``, ``clock``, ``deadline`` and ``rate``.
"""

from karbor_like.bank import errors, verify
from karbor_like.bank.bank import Bank, open_bank
from karbor_like.bank.blocks.extents import Extent, ExtentSource
from karbor_like.bank.blocks.reader import StreamReader
from karbor_like.bank.blocks.restore import ExtentTarget
from karbor_like.bank.checkpoints.copier import copy as copy_section
from karbor_like.bank.checkpoints.index import IndexEntry
from karbor_like.bank.checkpoints.plans import CheckpointRecord
from karbor_like.bank.checkpoints.section import Level as VerifyLevel
from karbor_like.bank.checkpoints.section import ResourceSection, StreamStats
from karbor_like.bank.checkpoints.section_interface import Section
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.objectstore.factory import open_store

__all__ = [
    "Bank",
    "CheckpointRecord",
    "Extent",
    "ExtentSource",
    "ExtentTarget",
    "IndexEntry",
    "Lease",
    "ResourceSection",
    "Section",
    "StreamReader",
    "StreamStats",
    "VerifyLevel",
    "copy_section",
    "errors",
    "open_bank",
    "open_store",
    "verify",
]
