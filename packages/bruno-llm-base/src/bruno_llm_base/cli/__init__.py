"""The command `bruno-llm`; it needs the extra `bruno-llm-base[cli]`."""

import sys
from importlib.util import find_spec

__all__ = ["main"]


def main() -> None:
    """Run the command, and exit with its code."""
    if find_spec("typer") is None or find_spec("rich") is None:
        sys.exit("bruno-llm needs two more packages: pip install 'bruno-llm-base[cli]'")
    try:
        from bruno_llm_base.cli.app import run
    except KeyboardInterrupt:  # it takes a while to load
        sys.exit(130)
    run()
