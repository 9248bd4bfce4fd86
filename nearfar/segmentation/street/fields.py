"""Columns of the tables that describe a street, and the kinds of thing in them.

Lengths are in metres. Camera coordinates: x to the right, y up from the ground, z ahead. The lateral position
`u` is measured from the middle of the road, right positive.
"""

# Camera: focal length and vanishing point (fractions of the picture in a layout, pixels in buffers), height
# above the road, lateral position, and the bend of the street: x = u - OFFSET + BEND * z^2.
FOCAL, CENTRE_X, CENTRE_Y, HEIGHT, OFFSET, BEND = range(6)

# Street. Pairs are left and right: half the road, the strip of grass beside it, the line of the houses. Then
# the end of the view, a crossing road, widths of lane and parking bay, what closes the view, the depth of the
# yards, how fresh the paint is, and the zebra crossing (0: none).
ROAD_LEFT, ROAD_RIGHT, VERGE_LEFT, VERGE_RIGHT, FRONT_LEFT, FRONT_RIGHT = range(6)
END, CROSS_START, CROSS_STOP, LANE, PARKING, END_KIND, YARD, WEAR, CROSSWALK = range(6, 15)
STREET_FIELDS = 15

# Lot: from where to where, its kind, height of what stands on the building line, first of four materials, a
# seed; of a house also window spacing, storey height, window width, ground floor, roof, share of lit windows,
# style.
LOT_START, LOT_STOP, LOT_KIND, LOT_TOP, LOT_MATERIAL, LOT_SEED = range(6)
PITCH, STOREY, OPENING, SHOP, ROOF, LIT, STYLE = range(6, 13)
LOT_FIELDS = 13
HOUSE, WALLED, FENCED, PARK, CROSSING = range(5)
PLASTER, BRICK, STONE, OFFICE = range(4)

# Car: place, heading (from z towards x), measures, paint, how upright its windows are, whether its lamps are
# on.
CAR_X, CAR_Z, COSINE, SINE, LENGTH, WIDTH, WAIST, CAR_TOP, BONNET, BOOT, PAINT, UPRIGHT, LAMPS_ON = range(13)
CAR_FIELDS = 13

# Prop: kind, place, height, half-width, a shape parameter, how far it is turned (1 shows its side, near 0 its
# front or back; for lamps the length of the arm), first own material, a seed.
PROP_KIND, PROP_X, PROP_Z, TALL, WIDE, POSE, TURN, PROP_MATERIAL, PROP_SEED = range(9)
PROP_FIELDS = 9
STREET_LAMP, TRAFFIC_LIGHT, TRAFFIC_SIGN, POST, TREE, BUSH, WALKER, CYCLE, MOTORBIKE, BIN = range(10)
ROUND, CONIFER, POPLAR = range(3)  # POSE of a tree
DISC, TRIANGLE, SQUARE, DIAMOND = range(4)  # POSE of a sign
RIDDEN = 1  # POSE of a cycle or motorbike with its rider

# Light: place, emission code, radius.
LIGHT_X, LIGHT_Y, LIGHT_Z, LIGHT_CODE, LIGHT_RADIUS = range(5)
LIGHT_FIELDS = 5
