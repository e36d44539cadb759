"""Block store: streams in, manifests and packs out, and back.

``blockstore`` is the entry. ``batching`` cuts a stream into blocks, ``dedup`` finds blocks that are already stored,
``packer`` fills packs and uploads them, ``writer`` and ``reader`` run one stream in threads, ``budget`` limits their
memory. ``presence`` checks that packs exist; ``parallel`` maps a function over items in threads.
"""
