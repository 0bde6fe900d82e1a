"""What the user looks at: traits, background work, and the numbers behind the views."""
