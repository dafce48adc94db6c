"""Ready test supports; name one by its path: ``test_support = "conformance.supports.sqlite:SQLiteSupport"``."""
