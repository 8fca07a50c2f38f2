"""What the report is made of: its numbers, tables, figures and sentences."""
