"""What several tests share: plain values and small pieces, no test logic."""
