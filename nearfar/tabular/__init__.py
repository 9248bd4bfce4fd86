"""Tables: rows of numbers and categories, with gaps."""
