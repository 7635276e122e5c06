"""What the documentation's site adds to the pages in this folder: its navigation, and the references of the
commands and of a bundle's settings.

MkDocs calls these functions (see `hooks` in mkdocs.yml). A page that is put into a folder is in the navigation by that;
a section's pages stand in the order in which its index.md links to them, and what it does not name comes last.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))  # the package of this clone, whatever else is installed

SECTIONS = {
    "Getting started": "getting-started",
    "How to": "how-to",
    "Explanation": "explanation",
    "Reference": "reference",
}
COMMANDS_PAGE = "reference/commands.md"
SETTINGS_PAGE = "reference/bundle-settings.md"


def on_config(config: Any) -> Any:
    """Set the navigation."""
    config["nav"] = [{"Home": "index.md"}, *({title: pages_of(folder)} for title, folder in SECTIONS.items())]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of commands and of settings."""
    from mkdocs.structure.files import File

    for page, made in ((COMMANDS_PAGE, commands_page), (SETTINGS_PAGE, settings_page)):
        files.append(File.generated(config, page, content=made()))
    return files


def pages_of(folder: str) -> list[str]:
    """The pages of a section, its index first, as paths below docs/."""
    index = (DOCS / folder / "index.md").read_text(encoding="utf-8")
    named = list(dict.fromkeys(re.findall(r"\]\(([\w-]+\.md)\)", index)))
    there = {path.name for path in (DOCS / folder).glob("*.md")} | {
        Path(page).name for page in (COMMANDS_PAGE, SETTINGS_PAGE) if Path(page).parent.name == folder
    }
    ordered = [name for name in named if name in there]
    rest = sorted(there - {*ordered, "index.md"})
    return [f"{folder}/{name}" for name in ("index.md", *ordered, *rest)]


def commands_page() -> str:
    """Every command with its arguments, as Markdown, from the parsers themselves."""
    from cinetrack.cli.main import whole_parser

    parser = whole_parser()
    lines = [
        "# Commands",
        "",
        "Made from the parsers, so it says what the commands of this version take. Results go to stdout, everything",
        "else to stderr. The exit code is 0 when all is done, 2 for bad input, and 1 for a failure of ours.",
        "",
    ]
    for name, command in parser.subcommands().items():
        lines += [f"## cinetrack {name}", "", command.description or "", ""]
        actions = command.subcommands()
        for action, leaf in (actions or {"": command}).items():
            if action:
                lines += [f"### cinetrack {name} {action}", "", sentence(helps(command).get(action, "")), ""]
            lines += [*usage(leaf), "", *arguments_table(leaf), ""]
    return "\n".join(lines)


def settings_page() -> str:
    """The settings in a `bundle.json`, stage by stage, as Markdown, from their declarations."""
    from cinetrack.tracking.kinds import postprocessing_kinds, source_kinds
    from cinetrack.tracking.stabilisation import Stabiliser

    lines = [
        "# Settings of a bundle",
        "",
        "What the stages in a `bundle.json` may hold, made from the declarations that the program reads it by. The",
        "file as a whole is described under [file formats](file-formats.md), and why there are these settings and no",
        "others under [settings that stay](../explanation/settings-that-stay.md).",
        "",
        "## stabilisation",
        "",
        sentence(Stabiliser.__doc__ or ""),
        "",
        Stabiliser.table(),
        "",
    ]
    for title, kinds in (("sources", source_kinds()), ("postprocessing", postprocessing_kinds())):
        lines += [f"## {title}", ""]
        for kind, settings in kinds.items():
            lines += [f"### {kind}, in {title}", "", sentence(settings.__doc__ or ""), ""]
            if len(settings.table().splitlines()) > 2:
                lines += [settings.table(), ""]
    return "\n".join(lines)


def helps(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Action -> its line of help."""
    return {
        choice.dest: choice.help or ""
        for group in parser._actions
        if isinstance(group, argparse._SubParsersAction)
        for choice in group._choices_actions
    }


def usage(parser: argparse.ArgumentParser) -> list[str]:
    """How the command is called, as a block of code."""
    return ["```text", parser.format_usage().removeprefix("usage: ").rstrip(), "```"]


def arguments_table(parser: argparse.ArgumentParser) -> list[str]:
    """A row for each argument."""
    rows = ["| argument | what it does |", "|---|---|"]
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or "--help" in action.option_strings:
            continue
        names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.metavar or action.dest}`"
        value = action.metavar or (action.dest.upper() if action.option_strings and action.nargs != 0 else "")
        if action.choices is not None:
            value = " or ".join(map(str, action.choices))
        shown = f" `{value if isinstance(value, str) else ' '.join(value)}`" if value and action.option_strings else ""
        required = " **Required.**" if action.option_strings and action.required else ""
        meaning = sentence((action.help or "") % vars_of(action, parser))
        rows.append(f"| {names}{shown} | {meaning}{required} |")
    return rows


def vars_of(action: argparse.Action, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """What argparse lets a help text mention."""
    return {**vars(action), "prog": parser.prog}


def sentence(text: str) -> str:
    """`text` with a capital and a full stop, and nothing that would break a table."""
    text = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".?!" else ".")
