"""The chapters of the report on a study, a file each."""
