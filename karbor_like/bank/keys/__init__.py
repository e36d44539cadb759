"""Keys of a bank: ``masters`` are the operator's, and wrap the data key of each project.

``wrapping`` stores and opens wrapped data keys, ``keyring`` chooses and caches data keys, ``rotation`` wraps them with
another master key. What is derived from a data key is in :mod:`karbor_like.bank.format.datakey`.
"""
