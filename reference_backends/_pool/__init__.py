"""What the pooled backends are made of; import from `reference_backends.pooled`."""
