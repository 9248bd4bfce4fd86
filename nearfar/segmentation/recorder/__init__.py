"""Recording scenes in several appearances with the CARLA simulator: what a scene is (config, weather), how it is
recorded (record), and the one place that talks to the simulator (simulator)."""
