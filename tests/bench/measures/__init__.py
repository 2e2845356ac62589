"""What is measured by `tests.bench.compare`: each scene is a function that gives its figures by name, those of others as `dotnet.…`.

The hub is the real one with its default limit of 32 KiB a message; processes, files and connections are new in every scene.
"""
