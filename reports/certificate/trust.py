"""Who signed: a certificate chain up to a root, as of the moment of signing.

`cryptography.x509.verification` follows the web's rules and refuses Ed25519, so the few rules that matter here are
checked one by one (RFC 5280, 6.1): issued by the next, an authority allowed to issue, valid at the moment.
Revocation is not checked: a run directory is verified offline and carries no revocation list.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature


def distrust(chain: Sequence[x509.Certificate], root: x509.Certificate, moment: datetime) -> str:
    """Why `chain` (leaf first, root left out) does not lead to `root` at `moment`; empty where it does."""
    if not chain:
        return "it holds no certificate"
    path = [*chain, root]
    for depth, (certificate, issuer) in enumerate(zip(path, [*path[1:], root], strict=True)):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            return f"{_name(certificate)} was not issued by {_name(issuer)}"
        if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
            return f"{_name(certificate)} was not valid on {moment:%Y-%m-%d}"
        problem = _may_sign(certificate) if depth == 0 else _may_issue(certificate, depth - 1)
        if problem:
            return f"{_name(certificate)} {problem}"
    return ""


def _may_sign(leaf: x509.Certificate) -> str:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return "does not say what its key is for"
    return "" if usage.digital_signature else "is not for signing"


def _may_issue(authority: x509.Certificate, below: int) -> str:
    try:
        constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        return "is no authority"
    if not constraints.ca:
        return "is no authority"
    if constraints.path_length is not None and below > constraints.path_length:
        return "may not issue through so many others"
    return ""


def _name(certificate: x509.Certificate) -> str:
    try:
        return certificate.subject.rfc4514_string()
    except ValueError:
        return "a certificate"
