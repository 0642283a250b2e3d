"""The face of the project: networks that were trained anywhere, on a core of their own."""
