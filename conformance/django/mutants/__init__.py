"""Wrong Django engines, one defect each, as ``django:module:Class``; listed without being imported."""
