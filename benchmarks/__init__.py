"""How much ours costs beside the official SDKs: `python3 run.py bench`."""
