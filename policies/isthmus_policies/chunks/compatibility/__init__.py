"""Whether a new demonstration fits what a policy has learned so far."""
