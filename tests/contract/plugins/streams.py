"""The further contract of plugins that move bytes through Glance and describe them in a document."""

from typing import ClassVar

import pytest

from karbor_like import exception
from karbor_like.domain.operation import OperationType
from karbor_like.testing.host import Host
from karbor_like.testing.protection import Belongings, added
from karbor_like.testing.sandbox import Subject


class GlanceStreamContract:
    """Connections that are cut once and always, and documents of later versions."""

    size: ClassVar[int]

    def test_cut_download_continues(self, host: Host, subject: Subject, before: Belongings) -> None:
        for done in (0, self.size - 1):
            subject.cloud.fault(service="image", method="GET", path="/file$", kind="cut", after_bytes=done)
            operation = host.protect(subject.resource)
            subject.cloud.clear_faults()
            assert subject.belongings() == before
            host.perform(host.operation(OperationType.VERIFY, subject.resource, operation.checkpoint_id))

    def test_download_that_is_always_cut_ends_it(self, host: Host, subject: Subject, before: Belongings) -> None:
        subject.cloud.fault(service="image", method="GET", path="/file$", kind="cut", times=0)
        operation = host.operation(OperationType.PROTECT, subject.resource)
        with pytest.raises(exception.Unavailable, match="downloading image"):
            host.perform(operation)
        subject.cloud.clear_faults()
        assert subject.belongings() == before
        with pytest.raises(exception.NotFound):
            host.perform(host.operation(OperationType.VERIFY, subject.resource, operation.checkpoint_id))

    @pytest.mark.parametrize("kind", ["cut", "error"])
    def test_interrupted_upload_is_repeated(
        self, host: Host, subject: Subject, checkpoint: str, before: Belongings, kind: str
    ) -> None:
        """An image whose state Glance changed is replaced."""
        digest = subject.digest(subject.resource.id)
        subject.cloud.fault(
            service="image", method="PUT", path="/file$", kind=kind, where="request", after_bytes=self.size // 2
        )
        restored = host.restore(subject.resource, checkpoint)
        assert subject.digest(restored) == digest
        assert added(before, subject.belongings()) == {restored}

    def test_upload_that_is_always_cut_ends_it(
        self, host: Host, subject: Subject, checkpoint: str, before: Belongings
    ) -> None:
        fault = subject.cloud.fault(service="image", method="PUT", path="/file$", kind="cut", where="request", times=0)
        with pytest.raises(exception.Unavailable, match="uploading image"):
            host.restore(subject.resource, checkpoint)
        assert 1 < next(f["struck"] for f in subject.cloud.faults() if f["id"] == fault) <= 11
        subject.cloud.clear_faults()
        assert subject.belongings() == before

    def test_document_of_another_stream(self, host: Host, subject: Subject, checkpoint: str) -> None:
        with host.bank.leases.acquire(holder="test") as lease:
            section = host.bank.section(checkpoint, subject.project_id, subject.resource.key, lease=lease)
            document = section.get("metadata")
            section.put("metadata", {**document, "image": {**document["image"], "size": 1}})
            for kind in (OperationType.VERIFY, OperationType.RESTORE):
                with pytest.raises(exception.CheckpointDamaged, match=": 1, stored: "):
                    host.perform(host.operation(kind, subject.resource, checkpoint))

    def test_document_of_a_later_version(self, host: Host, subject: Subject, checkpoint: str) -> None:
        with host.bank.leases.acquire(holder="test") as lease:
            section = host.bank.section(checkpoint, subject.project_id, subject.resource.key, lease=lease)
            section.put("metadata", {**section.get("metadata"), "version": 99})
            # A plugin whose restore has a plan finds it there.
            with pytest.raises((exception.ResourceFailed, exception.Conflict), match="later version"):
                host.restore(subject.resource, checkpoint)
