"""The demo: clients lose their connections while traffic flows, and a checker counts what got lost.

In reading order: `records` (what servers and clients report), `traffic` (what is emitted, and to whom),
`breaks` (how clients lose their connections), `client` (a small Socket.IO client), `server` (the process
that runs a stock ``socketio.AsyncServer``), `processes` (starting two of them), `store` (what they share),
`ledger` (who is missing what), `checker` and `result` (the verdict), `screen` (what a person sees), `play`
(the clients' lives), `run` (all of it together).
"""
