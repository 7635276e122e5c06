"""Options under their former names, understood for one release with a notice.

A line goes when the release that announced it is out: see docs/how-to/make-a-release.md.
"""

from __future__ import annotations

from collections.abc import Callable

# (command, or command and action) -> former option -> the words that replace it. Announced in 0.2.0.
RENAMED: dict[str, dict[str, tuple[str, ...]]] = {
    "propagate": {"--bundle": ("--model",)},
    "label": {"--bundle": ("--model",)},
    "bundle create": {"--no-mirroring": ("--mirroring", "off"), "--motion-compensation": ("--stabilise",)},
    "finetune": {"--motion-compensation": ("--stabilise",)},
    "refiner prepare": {
        "--tracker": ("--model",),
        "--fold-tracker": ("--fold-model",),
        "--folds": ("--folds-file",),
    },
    "refiner plan": {"--num-processes": ("--workers",)},
    "refiner train": {
        "--fold": ("--folds",),
        "--num-processes": ("--workers",),
        "--learning-rate": ("--lr",),
    },
    "refiner crossvalidate": {"--fold": ("--folds",)},
    "refiner bundle": {"--fold": ("--folds",), "--tracker": ("--model",), "--no-mirroring": ("--mirroring", "off")},
}


def with_new_names(arguments: list[str], tell: Callable[[str], None]) -> list[str]:
    """`arguments` with former option names replaced; `tell` gets a line about each.

    >>> with_new_names(["label", "data", "--bundle=mine"], print)
    notice: --bundle is now --model; the former name goes with the next release
    ['label', 'data', '--model=mine']
    """
    replacements = RENAMED.get(" ".join(arguments[:2])) or RENAMED.get(" ".join(arguments[:1])) or {}
    renewed: list[str] = []
    for word in arguments:
        name, equals, value = word.partition("=")
        if name in replacements:
            new = replacements[name]
            tell(f"notice: {name} is now {' '.join(new)}; the former name goes with the next release")
            renewed += [*new[:-1], new[-1] + equals + value]
        else:
            renewed.append(word)
    return renewed
