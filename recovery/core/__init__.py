"""The core: pure logic. No I/O, no clock, no randomness; values come in."""
