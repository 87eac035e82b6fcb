"""What each dashboard shows, as plain state: frames, words and ages; no layout, no browser.

Each screen is loaded when its page is first opened: what one of them needs delays no other.
"""
