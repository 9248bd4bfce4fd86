"""A procedural street: what is where (scene, planner, populate, palette), how it is drawn (backdrop, vehicles, props,
shapes, textures, surfaces), how it looks (appearance, lighting, finish), and the door to it all (scenes)."""

from nearfar.segmentation.street.appearance import APPEARANCES, HELD_OUT_APPEARANCES, TRAINING_APPEARANCES
from nearfar.segmentation.street.scenes import StreetBuffers, StreetScenes

__all__ = ["APPEARANCES", "HELD_OUT_APPEARANCES", "TRAINING_APPEARANCES", "StreetBuffers", "StreetScenes"]
