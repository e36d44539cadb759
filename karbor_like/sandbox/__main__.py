"""``python -m karbor_like.sandbox --state DIR --port N``: run a sandbox until SIGTERM or SIGINT."""

from karbor_like.cmd.sandbox import main

if __name__ == "__main__":
    main()
