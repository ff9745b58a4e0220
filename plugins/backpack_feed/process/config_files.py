"""The files and folders that a configuration names, checked before anything starts."""

import os
import ssl
from pathlib import Path

from backpack_feed.errors import ConfigError
from backpack_feed.wire.signing import Signer


def check_authority(place: str, ca_file: Path | None) -> None:
    """`ca_file` holds certificates; raises `ConfigError` at `place` otherwise."""
    if ca_file is None:
        return
    try:
        ssl.create_default_context(cafile=str(ca_file))
    except OSError as error:
        raise ConfigError(
            f"{place}: {ca_file} cannot be read: {error.strerror or error}: name the PEM file of"
            " the venue's authority, or leave the key out for the public ones"
        ) from error


def check_key_file(place: str, credentials_file: Path | None) -> None:
    """`credentials_file` holds a key pair; raises `ConfigError` at `place`, without the secret."""
    if credentials_file is None:
        return
    try:
        Signer.from_file(credentials_file)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None


def check_folder(place: str, folder: Path | None) -> None:
    """`folder` can be made and written, or is there already; raises `ConfigError` otherwise."""
    if folder is None:
        return
    try:
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        usable, what = nearest.is_dir(), "is not a folder"
    except OSError as error:
        nearest, usable, what = folder, False, f"cannot be used: {error.strerror}"
    if usable and not os.access(nearest, os.W_OK | os.X_OK):
        usable, what = False, "cannot be written by this user"
    if not usable:
        raise ConfigError(f"{place}: {nearest} {what}: name a folder that this process may fill")
