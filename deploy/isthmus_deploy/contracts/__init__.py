"""What a policy, a robot and a hardware profile say of themselves, and whether they fit."""
