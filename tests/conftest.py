"""What all tests share comes from plugins; see their docstrings for the fixtures they bring."""

pytest_plugins = ["tests.plugins.servers", "tests.plugins.api"]
