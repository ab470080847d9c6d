"""What shows that every protection matters: without it, a test fails."""
