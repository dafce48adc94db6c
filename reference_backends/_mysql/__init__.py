"""The parts of `reference_backends.mysql`."""
