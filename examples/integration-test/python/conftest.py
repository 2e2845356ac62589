pytest_plugins = ["syncd.testing.plugin"]
