"""What is wrong between the trained world and a robot, found in a flight's log: `isthmus-mismatch`."""
