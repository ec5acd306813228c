"""Other formats: into a dataset, and out of one."""
