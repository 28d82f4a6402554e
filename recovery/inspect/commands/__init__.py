"""The inspector's commands: what is typed and what is shown; all else is in `recovery.inspect`."""
