"""The command `bruno-llm`, and the page of costs (`bruno_llm_cli.report`)."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command, and exit with its code."""
    try:
        from bruno_llm_cli.app import run
    except KeyboardInterrupt:  # it takes a while to load
        sys.exit(130)
    run()
