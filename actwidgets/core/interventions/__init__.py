"""What is done to units or to images, and what a model says then."""
