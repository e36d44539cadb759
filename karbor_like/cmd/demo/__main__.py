import sys

from karbor_like.cmd.demo import main

sys.exit(main())
