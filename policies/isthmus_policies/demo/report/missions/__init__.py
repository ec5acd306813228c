"""What a report says of each kind of mission: flights, walks, and attempts at a task."""
