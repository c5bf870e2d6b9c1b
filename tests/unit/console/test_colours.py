"""The colours of tasks are read well, and none of them looks like one that means something."""

import math
import re
from pathlib import Path

import relay

CONSOLE = Path(relay.__file__).parent / "console"
SCHEMES = re.compile(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);")
LEAST_CONTRAST = 4.5  # of words, WCAG 2.2 AA
LEAST_ANGLE = 25  # degrees between two hues, of 360
MEANINGS = ("blue", "good", "bad")


def colours(sheet: str) -> list[tuple[str, str, str]]:
    """Each with its name: in the light scheme and in the dark one."""
    return SCHEMES.findall((CONSOLE / sheet).read_text("utf-8"))


def linear(colour: str) -> list[float]:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]


def luminance(colour: str) -> float:
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lights = [luminance(one), luminance(other)]
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def hue(colour: str) -> float:
    """Its angle in OKLCH, in degrees."""
    red, green, blue = linear(colour)
    cones = (
        0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue,
        0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue,
        0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue,
    )
    long, medium, short = (cone ** (1 / 3) for cone in cones)
    a = 1.9779984951 * long - 2.428592205 * medium + 0.4505937099 * short
    b = 0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short
    return math.degrees(math.atan2(b, a)) % 360


def test_the_colours_of_tasks() -> None:
    palette = {name: pair for name, *pair in colours("palette.css")}
    tasks = [pair for _, *pair in colours("log.css")]
    source = (CONSOLE / "task-names.js").read_text("utf-8")
    assert f"const HUES = {len(tasks)};" in source
    for scheme in (0, 1):
        for task in tasks:
            colour = task[scheme]
            for ground in ("raised", "paper", "sunk"):
                assert contrast(colour, palette[ground][scheme]) >= LEAST_CONTRAST
            for meaning in MEANINGS:
                apart = abs(hue(colour) - hue(palette[meaning][scheme]))
                assert min(apart, 360 - apart) >= LEAST_ANGLE, (colour, meaning)
