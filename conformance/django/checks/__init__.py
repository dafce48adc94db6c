"""What Django promises of an engine, and what this SDK would ask beyond; one module per group."""
