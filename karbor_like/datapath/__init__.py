"""Access to the bytes of volumes where they are stored: random access, and maps of what is allocated or changed.

A driver opens snapshots as :class:`~karbor_like.datapath.contract.VolumeReader` and new volumes as
:class:`~karbor_like.datapath.contract.VolumeWriter`. ``tests/contract/datapath`` has the suites that every driver passes.

Of this project, the package imports the interface of the bank and what lies below it. Only plugins import it.
"""
