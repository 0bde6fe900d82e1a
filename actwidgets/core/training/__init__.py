"""What is told of a training, and what is read off weights while it goes on."""
