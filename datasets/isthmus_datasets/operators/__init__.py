"""Where actions come from: people, policies, scripts."""
