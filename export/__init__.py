import golden.errors  # noqa: F401 (an interrupt while the rest loads leaves no traceback)
