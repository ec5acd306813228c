"""Whether readings can be believed."""
