"""What tests lean on: real servers, a real browser, and suites that every adapter of a port must pass.

Tests of an app's features and handlers begin at ``groundplan.testing.handlers``.
"""
