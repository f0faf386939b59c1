"""Random damage to the content of a file, some of it by the content of another."""

import random
from collections.abc import Callable


def truncated(content: bytes, other: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content))]


def flipped(content: bytes, other: bytes, dice: random.Random) -> bytes:
    changed = bytearray(content)
    for place in dice.sample(range(len(content)), dice.choice([1, 1, 1, 2, 20])):
        changed[place] ^= 1 << dice.randrange(8)
    return bytes(changed)


def zeroed(content: bytes, other: bytes, dice: random.Random) -> bytes:
    """Lose a block, as a file system does after a crash."""
    size = dice.choice([16, 512, 4096])
    places = [place for place in range(0, len(content), size) if any(content[place : place + size])]
    place = dice.choice(places)
    return content[:place] + bytes(len(content[place : place + size])) + content[place + size :]


def swapped(content: bytes, other: bytes, dice: random.Random) -> bytes:
    return other


def mixed(content: bytes, other: bytes, dice: random.Random) -> bytes:
    last = max(place for place, (one, two) in enumerate(zip(content, other, strict=False)) if one != two)
    cut = dice.randrange(1, last + 1)
    return content[:cut] + other[cut:]


def lengthened(content: bytes, other: bytes, dice: random.Random) -> bytes:
    return content + dice.randbytes(dice.randrange(1, 1000))


DAMAGES: list[Callable[[bytes, bytes, random.Random], bytes]] = [
    truncated,
    flipped,
    flipped,
    zeroed,
    swapped,
    mixed,
    lengthened,
]
