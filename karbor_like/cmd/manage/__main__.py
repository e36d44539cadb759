import sys

from karbor_like.cmd.manage import main

sys.exit(main())
