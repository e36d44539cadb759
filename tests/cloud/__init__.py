"""Real OpenStack on this machine for the tests: see README.rst in this directory."""
