"""The process that sends the safe command when the node cannot."""
