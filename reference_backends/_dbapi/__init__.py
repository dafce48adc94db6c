"""The parts of the backend for PEP 249 modules."""
