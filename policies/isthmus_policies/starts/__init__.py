"""Where the episodes of a training begin, and how hard they are: options, and files of snapshots."""
