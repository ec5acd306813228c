"""How each of the project's own tasks is demonstrated: what people see and do, and the script that does it."""
