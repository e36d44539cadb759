"""Images in Ceph (RBD): snapshots are read, and new images are written, with librbd or with qemu-nbd and the command rbd."""

from karbor_like.datapath.rbd.opening import open_reader, open_writer, parent

__all__ = ["open_reader", "open_writer", "parent"]
