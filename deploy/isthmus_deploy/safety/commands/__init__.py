"""What every command passes on its way to the robot: range, effort, acceleration, rate, workspace."""
