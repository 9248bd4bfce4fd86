"""What moves: clips of video, skeletons, clouds of points."""
