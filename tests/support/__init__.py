"""What several tests share: fakes, builders, servers."""
