"""Flows: logic that needs a store or time, as generators without a colour."""
