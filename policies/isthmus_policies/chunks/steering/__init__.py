"""Which of several chunks is done, and whether what a policy sees and says is as usual: without training it again."""
