"""THINKS: pure functions of their arguments. No clock, disk, network, logging or unseeded draw."""
