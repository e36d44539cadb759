"""Bytes of the bank format, without keys' origin or requests' order.

``codec`` compresses and hashes, ``encryption`` encrypts the blocks of packs, ``seal`` encrypts and authenticates every other
object, ``datakey`` derives the keys for both. ``pack``, ``manifest``, ``segment`` and ``jsonobject`` encode and decode the
objects.
"""
