"""The inspector as a page in a browser, and as answers in JSON; ``socketio-recovery web`` serves it.

Needs the extra ``web``. Nothing here decides anything about sessions: that is in `recovery.inspect`.
"""
