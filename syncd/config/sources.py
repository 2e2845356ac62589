"""Where settings come from: the TOML file, the environment, and the credentials of systemd or a container."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

from pydantic import BaseModel

from syncd.errors import ConfigurationError, PermissionDeniedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_CONFIG_FILE = Path("/etc/syncd/syncd.toml")
CONTAINER_SECRETS = Path("/run/secrets")
"""Where Docker, Podman and Kubernetes (by convention) mount secrets as files."""
CREDENTIALS = {
    "access_token_file": ("hub_access_token", "syncd_hub_access_token"),
    "proxy_file": ("hub_proxy", "syncd_hub_proxy"),
}
"""The keys of `hub` whose file a credential may stand for, and the names that it may have."""
PREFIX = "SYNCD_"
NOT_SETTINGS = frozenset({"SYNCD_CONFIG", "SYNCD_CSC", "SYNCD_PEER", "SYNCD_REFHUB", "SYNCD_REQUIRE"})
"""Variables with our prefix that are no keys: where the file is; where tests find a C# compiler and a real hub, what
they may not skip."""
ENTITIES = "SYNCD_ENTITIES"
"""The section `entities`, as a JSON object."""
TRUE, FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})


def sections_of(settings: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The sections' models by their names."""
    annotations = {name: field.annotation for name, field in settings.model_fields.items()}
    return {name: model for name, model in annotations.items() if isinstance(model, type) and issubclass(model, BaseModel)}


def known_keys(settings: type[BaseModel]) -> list[str]:
    """All keys as TOML knows them: `hub.url`."""
    return [f"{section}.{key}" for section, model in sections_of(settings).items() for key in model.model_fields]


def variable_of(key: str) -> str:
    """The environment variable of a key: `hub.url` is `SYNCD_HUB__URL`."""
    return PREFIX + key.upper().replace(".", "__")


def find_file(given: Path | None, environ: Mapping[str, str]) -> tuple[Path, bool]:
    """The file to read, and whether somebody named it: then it must be there."""
    named = given or environ.get("SYNCD_CONFIG")
    return (Path(named), True) if named else (DEFAULT_CONFIG_FILE, False)


def read_toml(file: Path, *, required: bool) -> dict[str, Any] | None:
    """The file's document, or None where it may be absent and is.

    Raises:
        ConfigurationError: absent though required, no file, not UTF-8, or not TOML (names line and column).
        PermissionDeniedError: it may not be read.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))  # Windows editors begin a file with a byte-order mark
    except FileNotFoundError as error:
        if not required:
            return None
        raise ConfigurationError(f"the configuration file {file} does not exist") from error
    except PermissionError as error:
        raise PermissionDeniedError(f"the configuration file {file} may not be read by this user") from error
    except OSError as error:
        raise ConfigurationError(f"the configuration file {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the configuration file {file} is not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:  # its text ends in "(at line 3, column 7)"
        raise ConfigurationError(f"the configuration file {file} is not valid TOML: {error}") from error


def read_environment(settings: type[BaseModel], environ: Mapping[str, str]) -> dict[str, Any]:
    """Values by section and key, typed as TOML would have typed them; unknown names too, for the model to refuse.

    An empty variable is one that is not set: `VARIABLE=` in an environment file, `${VARIABLE:-}` in a compose file.
    """
    document: dict[str, Any] = {}
    for variable, text in _ours(environ):
        if variable == ENTITIES:
            document["entities"] = _json(text)
            continue
        section, _, key = variable.removeprefix(PREFIX).lower().partition("__")
        model = sections_of(settings).get(section)
        if model is None or not key:
            document[variable] = text
            continue
        field = model.model_fields.get(key)
        document.setdefault(section, {})[key] = _typed(text, field.annotation) if field else text
    return document


def _ours(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((name, text) for name, text in sorted(environ.items()) if name.startswith(PREFIX) and name not in NOT_SETTINGS and text)


def _typed(text: str, annotation: Any) -> object:
    """What the text means for a key of that type; text that means nothing stays, and the model says what is allowed."""
    if annotation == int | str:
        return _number_or_text(text)
    if annotation is bool:
        return text.lower() in TRUE if text.lower() in TRUE | FALSE else text
    if annotation is int or annotation is float:
        try:
            return annotation(text)
        except ValueError:
            return text
    if get_origin(annotation) is tuple:
        return _list(text)
    return text


def _number_or_text(text: str) -> int | str:
    """Digits alone are a number; what stands in double quotes is text: `7` is 7, `"007"` is the text 007."""
    if re.fullmatch(r"[0-9]+", text):
        return int(text)
    return text[1:-1] if re.fullmatch(r'".*"', text) else text


def _list(text: str) -> object:
    """A JSON list, or names with commas between them."""
    if text.lstrip().startswith("["):
        return _json(text)
    return [part.strip() for part in text.split(",") if part.strip()]


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def find_credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """The files that the service manager provides, by the keys of `hub` that they stand for."""
    handed_over = environ.get("CREDENTIALS_DIRECTORY")
    folders = ([Path(handed_over)] if handed_over else []) + [CONTAINER_SECRETS]
    found: dict[str, str] = {}
    for key, names in CREDENTIALS.items():
        files = [str(folder / name) for folder in folders for name in names if os.path.lexists(folder / name)]
        found.update((key, file) for file in files[:1])
    return found
