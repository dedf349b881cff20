"""Plugins of all tests; see their docstrings for the fixtures they bring."""

pytest_plugins = [
    "tests.plugins.servers",
    "tests.plugins.api",
    "tests.plugins.own_logs",
    "tests.plugins.tls_context",
]
