"""The parts of `reference_backends.postgresql`."""
