"""Images of worlds and of recorded movements, drawn off-screen."""
