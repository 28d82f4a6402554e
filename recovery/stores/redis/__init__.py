"""Stores on Redis or Valkey."""
