"""What people hold in their hands, and what they ask for with it."""
