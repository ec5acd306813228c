"""The page that an operator looks at: what it hears, what is written on it, its buttons."""
