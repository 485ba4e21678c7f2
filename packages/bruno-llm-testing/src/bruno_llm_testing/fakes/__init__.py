"""The vendors' APIs on a loopback socket, one module each."""
