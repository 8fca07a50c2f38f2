"""What the comparison is made of, a module for each step. None loads TensorFlow, Ray or matplotlib."""
