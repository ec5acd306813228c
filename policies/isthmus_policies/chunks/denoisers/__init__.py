"""Networks that say how a noisy chunk of actions becomes a better one."""
