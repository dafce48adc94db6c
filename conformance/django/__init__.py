"""Django engines as targets: ``django:my_engine``. Nothing here imports Django before such a target is loaded."""
