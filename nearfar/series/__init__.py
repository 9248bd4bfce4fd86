"""Time series: recordings, sensors, forecasts."""
