"""Generation and restoration by contrast: pictures and token pictures, from noise, from pictures, from words."""
