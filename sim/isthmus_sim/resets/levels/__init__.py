"""How hard the next episode is, of a task that declares what makes it hard: samplers of levels."""
