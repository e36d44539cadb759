from tests.fixtures.swift import swift  # noqa: F401
