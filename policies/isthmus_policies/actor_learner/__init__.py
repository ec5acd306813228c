"""A robot that acts in one process while another one learns from what it does."""
