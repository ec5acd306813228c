"""Who drives a robot by a policy: step by step, or by chunks. The safety chain around them is `PolicyController`."""
