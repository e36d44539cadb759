"""Real OpenStack on this machine, for the tests: see README.rst beside this file."""
