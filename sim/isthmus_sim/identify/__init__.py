"""From logs of a real servo to the parameters of its simulation, with their uncertainty: `isthmus-identify`."""
