pytest_plugins = ["tests.fixtures.api"]
