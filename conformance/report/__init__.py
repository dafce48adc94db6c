"""Reports: for the terminal, for programs (JSON), for CI servers (JUnit XML)."""
