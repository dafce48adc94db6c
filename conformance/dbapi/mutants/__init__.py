"""Wrong PEP 249 modules, one defect each: classes in a module's place, as ``dbapi:module:Class``."""
