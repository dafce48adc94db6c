"""Real database servers for tests and for the kit, started from the machine's programs and gone with their user.

Each kind of server is looked for in this order: the one named in an environment variable, one of our own
from the machine's programs, one from the programs of a pip-installable package. `Unavailable` says what to do
where there is none. Nothing here needs a database driver, or the rest of the kit.
"""
