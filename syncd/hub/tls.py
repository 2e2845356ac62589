"""The TLS context: always verified, with our own authority and certificate where the configuration names them."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from syncd.errors import ConnectionFailed

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.config.settings import HubSettings


def tls_context(settings: HubSettings) -> ssl.SSLContext:
    """A context for one attempt, made afresh so that renewed certificates are used without a restart; reads files.

    `ca_file` replaces the system's authorities: who names one trusts no other.

    Raises:
        ConnectionFailed: names the key, the file and what is wrong with it.
    """
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise _unusable("hub.ca_file", settings.ca_file, "a PEM file of certificates", error) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    certificate, key = settings.client_certificate_file, settings.client_key_file
    if certificate is not None:
        try:
            # An empty password, so that OpenSSL never asks for one on a terminal.
            context.load_cert_chain(certificate, key, password="")
        except (OSError, ssl.SSLError) as error:
            wanted = "a PEM certificate and its key without a password"
            raise _unusable("hub.client_certificate_file, hub.client_key_file", certificate, wanted, error) from error
    return context


def _unusable(key: str, file: Path | None, wanted: str, error: OSError) -> ConnectionFailed:
    why = error.strerror if error.strerror and not isinstance(error, ssl.SSLError) else f"it is not {wanted}"
    return ConnectionFailed(f"{key}: {file} cannot be used: {why}")
