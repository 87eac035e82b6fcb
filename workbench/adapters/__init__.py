"""TOUCH one outside thing each: files, databases, venues, kernels, clocks, calendars."""
