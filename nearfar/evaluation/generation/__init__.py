"""What was made, against what it should be or be like; and codes against the factors behind them."""
