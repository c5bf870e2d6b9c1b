"""The length and size of a run."""

from dataclasses import dataclass

from bench.shapes import SHAPES, Shape


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The defaults are those of a full run."""

    seconds: float = 5.0
    steady: float = 10.0  # seconds at the fixed rate
    idle: int = 5_000
    idle_seconds: float = 10.0
    resumes: int = 2_000
    missed: int = 1_000
    lines: int = 200_000
    fans: tuple[int, ...] = (100, 1_000)
    batches: tuple[int, ...] = (50, 500)
    shapes: tuple[str, ...] = tuple(shape.name for shape in SHAPES)
    form_shapes: tuple[str, ...] = ("tidy", "many tasks")  # in the forms that are not plain
    tasks: int = 10_000
    history: int = 1_000_000  # events of these tasks

    @property
    def picked_shapes(self) -> tuple[Shape, ...]:
        return tuple(shape for shape in SHAPES if shape.name in self.shapes)

    @classmethod
    def quick(cls) -> "RunConfig":
        return cls(
            seconds=2.0,
            steady=3.0,
            idle=1_000,
            idle_seconds=3.0,
            resumes=200,
            lines=50_000,
            tasks=1_000,
            history=50_000,
        )
