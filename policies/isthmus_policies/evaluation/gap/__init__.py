"""How far simulation and robot part when both are sent the same commands: `isthmus-gap`."""
