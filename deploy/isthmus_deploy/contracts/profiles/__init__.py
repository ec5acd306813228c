"""Hardware profiles that come with the package, by name; each says whether it has run on hardware."""
