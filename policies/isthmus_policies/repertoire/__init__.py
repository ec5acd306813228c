"""Quality-diversity: many different good gaits instead of one, to fall back on when something breaks."""
