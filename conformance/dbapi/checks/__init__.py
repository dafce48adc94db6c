"""What PEP 249 promises; one module per part."""
