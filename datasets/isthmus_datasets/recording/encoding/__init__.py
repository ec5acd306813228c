"""Videos that are encoded beside the recording loop, in processes of their own."""
