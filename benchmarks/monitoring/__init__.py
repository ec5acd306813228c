"""How monitors are judged, whatever they watch."""
