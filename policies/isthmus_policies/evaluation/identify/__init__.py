"""From flights of a robot to the parameters of its simulation: `isthmus-identify-robot`."""
