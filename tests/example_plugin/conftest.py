"""The example's tests run where the example is installed: see ``tests/contract/plugins/test_example.py``."""

collect_ignore = ["tests"]
