"""Properties are judged by what they find, not by how long the first compilation takes."""

from hypothesis import settings

settings.register_profile("core", deadline=None, max_examples=60)
settings.load_profile("core")
