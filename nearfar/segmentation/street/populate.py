"""What a planned street is filled with: cars, lamps and signs, trees, people and cycles."""

from __future__ import annotations

import math

from . import fields as f
from . import palette
from .planner import Planner
from .surfaces import AMBER_SIGNAL, GREEN_SIGNAL, HEADLIGHT, LAMP, RED_SIGNAL, TAILLIGHT


def add_traffic(plan: Planner) -> None:
    """Parked cars along the kerbs, moving ones in the lanes, now and then one that crosses."""
    dice = plan.dice
    busy = dice.pick((0.0, 0.25, 0.5, 0.8))
    for side, sign in enumerate((-1, 1)):
        if plan.parking > 0:
            u = sign * (plan.road[side] - 1.15)
            z = dice.between(4.5, 11.0)
            while z < 75.0:
                if dice.chance(busy) and not plan.near_crossing(z, 7.0, 3.0) and plan.free(u, z, 0.8, 2.4):
                    along = dice.chance(0.75) == (side == 1)
                    turn = dice.between(-0.04, 0.04) + (0.0 if along else math.pi)
                    plan.car(u, z, turn, dice.pick(palette.PAINTS), lamps_on=False)
                z += dice.between(5.0, 7.5)
        for number in range(plan.lanes[side]):
            z = dice.between(7.5, 34.0)
            while z < 80.0 and dice.chance(0.55):
                u = sign * (number + 0.5) * plan.lane + dice.between(-0.25, 0.25)
                if plan.free(u, z, 0.9, 3.2):
                    plan.car(u, z, 0.0 if side == 1 else math.pi, dice.pick(palette.PAINTS), lamps_on=True)
                z += dice.between(8.0, 30.0)
    if plan.cross_start > 0 and dice.chance(0.5):
        right = dice.chance(0.5)
        u = dice.between(-9.0, 9.0)
        z = plan.cross_start + (0.3 if right else 0.7) * (plan.cross_stop - plan.cross_start)
        if plan.free(u, z, 2.4, 1.2):
            plan.car(u, z, math.pi / 2 if right else -math.pi / 2, dice.pick(palette.PAINTS), lamps_on=False)


def add_furniture(plan: Planner) -> None:
    """Street lamps, traffic lights, signs, bollards and bins."""
    dice = plan.dice
    gap, tall = dice.between(17.0, 28.0), dice.between(5.5, 8.5)
    both = dice.chance(0.5)
    for side, sign in enumerate((-1, 1)):
        u = sign * (plan.road[side] + 0.55)
        z = dice.between(5.0, gap) if both or side == 0 else dice.between(5.0, 12.0) + gap * 0.5
        while z < min(plan.end - 5.0, 115.0):
            arm = -sign * dice.between(1.2, 1.6)
            if plan.free(u, z, 0.2, 0.3):
                plan.prop(f.STREET_LAMP, u, z, tall, 0.15, turn=arm)
                plan.light(plan.x(u, z) + arm * 0.86, tall - 0.15, z, LAMP, 0.30)
            z += gap
        for _ in range(dice.pick((0, 0, 1, 1, 2, 3))):
            z = 5.0 + 25.0 * dice.unit() ** 1.4
            shape, first, second = dice.pick(palette.SIGNS)
            if plan.free(u, z, 0.3, 0.4):
                top, half = dice.between(2.4, 3.2), dice.between(0.36, 0.60)
                plan.prop(f.TRAFFIC_SIGN, u, z, top, half, pose=shape, colour=plan.paint(first, second))
        if dice.chance(0.18):
            z = dice.between(4.0, 15.0)
            for _ in range(dice.count(3, 8)):
                if plan.free(u - sign * 0.15, z, 0.1, 0.3):
                    plan.prop(f.POST, u - sign * 0.15, z, dice.between(0.9, 1.0), 0.07)
                z += 2.2
        if dice.chance(0.3):
            u = sign * (plan.front[side] - 0.5)
            z = dice.between(5.0, 25.0)
            if plan.free(u, z, 0.4, 0.4):
                colour = plan.paint(dice.pick(palette.ACCENTS))
                plan.prop(f.BIN, u, z, dice.between(0.8, 1.2), dice.between(0.25, 0.4), colour=colour)
    if plan.cross_start > 0 and dice.chance(0.7):
        _add_signals(plan)


def _add_signals(plan: Planner) -> None:
    dice = plan.dice
    state = dice.pick((0, 0, 1, 2, 2))
    overhead = dice.chance(0.35)
    stops = [(1, plan.cross_start - 4.4), (-1, plan.cross_stop + 1.0)]
    if dice.chance(0.6):
        stops.append((-1, plan.cross_start - 4.4))
    for sign, z in stops:
        u = sign * (plan.road[sign > 0] + 0.5)
        arm = -sign * dice.between(2.2, 3.5) if overhead else 0.0
        top = dice.between(4.6, 5.4) if overhead else dice.between(3.0, 3.5)
        if plan.free(u, z, 0.3, 0.2):
            plan.prop(f.TRAFFIC_LIGHT, u, z, top, 0.2, pose=state, turn=arm)
            code = (GREEN_SIGNAL, AMBER_SIGNAL, RED_SIGNAL)[state]
            plan.light(plan.x(u, z) + arm, top - 0.65 + 0.42 * (state - 1), z, code, 0.15)


def add_trees(plan: Planner, lots: list[list[list[float]]]) -> None:
    """Trees along the street, and trees, bushes and hedges in the yards of `lots` (left, right)."""
    dice = plan.dice
    leaves = [plan.paint(leaf) for leaf in palette.LEAVES]
    crown = {f.ROUND: 0.30, f.CONIFER: 0.22, f.POPLAR: 0.17}
    for side, sign in enumerate((-1, 1)):
        if dice.chance(0.6 if plan.verge[side] > 0 else 0.25):
            gap, usual = dice.between(7.0, 15.0), dice.between(5.0, 8.5)
            shape = dice.pick((f.ROUND, f.ROUND, f.ROUND, f.POPLAR, f.CONIFER))
            u = sign * (plan.road[side] + 0.3 + max(0.5, 0.5 * plan.verge[side]))
            z = dice.between(6.0, 6.0 + gap)
            while z < min(plan.end - 5.0, 95.0):
                if not plan.near_crossing(z, 3.0, 2.0) and plan.free(u, z, 0.3, 1.2):
                    tall = usual * dice.between(0.8, 1.15)
                    plan.prop(f.TREE, u, z, tall, tall * crown[shape], pose=shape, colour=dice.pick(leaves))
                z += gap * dice.between(0.85, 1.15)
        for lot in lots[side]:
            kind = int(lot[f.LOT_KIND])
            start, stop = max(5.0, lot[f.LOT_START]), min(plan.end - 3.0, lot[f.LOT_STOP])
            if kind in (f.HOUSE, f.CROSSING) or stop - start < 2.0 or start > 80.0:
                continue
            for _ in range(dice.count(1, 4)):
                u, z = sign * (plan.front[side] + dice.between(1.8, 9.0)), dice.between(start, stop)
                tall, shape = dice.between(4.0, 9.5), dice.pick((f.ROUND, f.ROUND, f.CONIFER))
                plan.prop(f.TREE, u, z, tall, tall * 1.1 * crown[shape], pose=shape, colour=dice.pick(leaves))
            hedge = kind == f.PARK and dice.chance(0.6)
            z = start + 0.5
            while z < stop and (hedge or dice.chance(0.5)):
                wide = dice.between(0.6, 1.2)
                u = sign * (plan.front[side] + (0.7 if hedge else dice.between(0.9, 3.0)))
                plan.prop(f.BUSH, u, z, wide * (1.5 if hedge else 1.2), wide, colour=dice.pick(leaves))
                z += wide * (1.2 if hedge else 2.6)


def add_people(plan: Planner) -> None:
    """People on the pavements and the zebra crossing, cycles and motorcycles, ridden and parked."""
    dice = plan.dice
    for _ in range(dice.pick((0, 1, 3, 5, 8, 12))):
        side = dice.count(0, 1)
        sign = 1 if side else -1
        inner = plan.road[side] + plan.verge[side] + 0.6
        u, z = sign * dice.between(inner, plan.front[side] - 0.3), 4.0 + 32.0 * dice.unit() ** 1.8
        _add_walker(plan, u, z)
        if dice.chance(0.35):
            _add_walker(plan, u + 0.55, z + 0.2)
    if plan.zebra > 0 and dice.chance(0.4):
        for _ in range(dice.count(1, 4)):
            _add_walker(plan, dice.between(-5.0, 5.0), plan.zebra + dice.between(0.5, 2.7))
    for _ in range(dice.pick((0, 0, 0, 1, 1, 2, 3))):
        _add_cycle(plan)
    for _ in range(dice.pick((0, 0, 0, 0, 1, 1, 2))):
        _add_motorbike(plan)


def _dress(plan: Planner) -> int:
    dice = plan.dice
    return plan.paint(dice.pick(palette.CLOTHES), dice.pick(palette.CLOTHES), dice.pick(palette.PAINTS))


def _add_walker(plan: Planner, u: float, z: float) -> None:
    dice = plan.dice
    if plan.free(u, z, 0.25, 0.25):
        tall = dice.between(1.05, 1.35) if dice.chance(0.12) else dice.between(1.58, 1.92)
        stride, coat = dice.between(0.0, 0.11), dice.unit()
        plan.prop(f.WALKER, u, z, tall, 0.14 * tall, pose=stride, turn=coat, colour=_dress(plan))


def _add_cycle(plan: Planner) -> None:
    dice = plan.dice
    side = dice.count(0, 1)
    sign = 1 if side else -1
    ridden = dice.chance(0.5)
    if ridden and plan.zebra > 0 and dice.chance(0.35):
        u, z, turn = dice.between(-4.0, 4.0), plan.zebra + dice.between(0.6, 2.4), 1.0
    elif ridden:
        u = sign * (plan.road[side] - plan.parking - dice.between(0.4, 0.9))
        z, turn = 5.5 + 20.0 * dice.unit() ** 1.4, dice.between(0.25, 0.6)
    else:
        u = sign * (plan.front[side] - dice.between(0.4, 0.9))
        z, turn = dice.between(4.5, 14.0), dice.between(0.45, 1.0)
    if plan.free(u, z, 0.5, 0.5):
        turn *= dice.pick((-1, 1))
        plan.prop(
            f.CYCLE,
            u,
            z,
            1.75 if ridden else 1.1,
            0.5,
            pose=ridden * f.RIDDEN,
            turn=turn,
            colour=_dress(plan),
        )


def _add_motorbike(plan: Planner) -> None:
    dice = plan.dice
    side = dice.count(0, 1)
    sign = 1 if side else -1
    ridden = dice.chance(0.55)
    if ridden:
        u = sign * 0.5 * plan.lane * dice.pick((1.0, 1.4))
        z, turn = 5.5 + 18.0 * dice.unit() ** 1.4, sign * dice.between(0.2, 0.55)
    else:
        u = sign * (plan.road[side] + 0.9)
        z, turn = dice.between(5.0, 15.0), dice.pick((-1, 1)) * dice.between(0.5, 1.0)
    if plan.free(u, z, 0.6, 0.6):
        tall = 1.65 if ridden else 1.1
        plan.prop(f.MOTORBIKE, u, z, tall, 0.55, pose=ridden * f.RIDDEN, turn=turn, colour=_dress(plan))
        if ridden:
            up, code, radius = (0.77, TAILLIGHT, 0.10) if side else (1.0, HEADLIGHT, 0.15)
            plan.light(plan.x(u, z), up, z - 0.1, code, radius)
