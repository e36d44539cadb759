"""The program nova-compute, which also finds drivers in this directory. Nova loads drivers from its own package only."""

from pathlib import Path

# First, because it prepares the process for the backend of its threads.
from nova.cmd import compute  # isort: skip
from nova import virt  # isort: skip

if __name__ == "__main__":
    virt.__path__.append(str(Path(__file__).parent))
    compute.main()
