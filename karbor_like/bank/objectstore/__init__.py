"""Object stores: ``base`` is the contract, ``filesystem``, ``swift``, ``s3`` and ``memory`` are the drivers.

``remote`` is what ``swift`` and ``s3`` share, ``body`` the data of their requests. ``factory`` opens the configured driver,
``retry`` repeats calls that failed, ``limited`` delays data to keep limits on bytes per second, ``listing`` iterates over
listings, ``reserve`` keeps room for deletions.
"""
