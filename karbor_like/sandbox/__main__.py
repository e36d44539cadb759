"""``python -m karbor_like.sandbox --state DIR --port N``: a sandbox until it is told to end."""

from karbor_like.cmd.sandbox import main

if __name__ == "__main__":
    main()
