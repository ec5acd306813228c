"""The control loop, clocks, latencies, and how busy the machine is."""
