"""RUN: the order of steps and the transactions; speak to the outside only through `core.ports`."""
