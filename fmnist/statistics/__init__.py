"""What the comparison is made of: intervals, tests, verdicts, ranks, group-sequential designs."""
