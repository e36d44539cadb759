"""Block store: streams in, manifests and packs out, and back.

``blockstore`` is the entry. ``batching`` cuts a stream into blocks, ``extents`` the changed ranges of a source; ``takeover``
decides what of a source need not be read, ``dedup`` finds blocks that are already stored, ``packer`` fills packs and uploads
them, ``fetch`` reads them. ``writer``, ``reader`` (in the order of the stream) and ``restore`` (in the order of packs) run
one stream in threads, ``budget`` limits their memory. ``presence`` checks that packs and segments exist;
``parallel`` runs calls in threads and keeps their order.
"""
