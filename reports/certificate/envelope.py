"""Statements in DSSE envelopes: sealed in one canonical form, and opened only if they are in exactly that form.

DSSE v1 (secure-systems-lab/dsse, protocol.md): the signature covers payload type and payload; everything else in an
envelope is unauthenticated. So the form is pinned: sorted keys, compact separators, canonical base64, the key id
computed from the key, one signature. Whatever deviates by one byte is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from securesystemslib.dsse import Envelope
from securesystemslib.signer._signature import Signature

from reports.certificate.signing import Keys, pem, read_chain

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_UNREADABLE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
    binascii.Error,
)


class BadEnvelope(ValueError):
    """An envelope is not what a station seals; the text says what is wrong with it."""


@dataclass(frozen=True)
class Opened:
    """An envelope whose signature holds under the key of its own certificate; who issued that is another question."""

    statement: dict[str, Any]
    payload: bytes
    chain: tuple[x509.Certificate, ...]


def canonical(value: object) -> bytes:
    """`value` as the one JSON text that is signed and digested: sorted keys, no white space, no NaN, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # A lone surrogate (a byte that was no UTF-8 on a console) stays a valid JSON escape, as in the journal.
    return text.encode("utf-8", "backslashreplace")


def key_id(public: ed25519.Ed25519PublicKey) -> str:
    """SHA-256 over the key's SubjectPublicKeyInfo, hexadecimal."""
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def seal(statement: dict[str, Any], keys: Keys) -> bytes:
    """One line, line feed included: the statement in a signed envelope, its certificate chain beside the signature.

    Ed25519 is deterministic (RFC 8032, 5.1.6): the same statement and key give the same bytes.
    """
    envelope = Envelope(canonical(statement), PAYLOAD_TYPE, {})
    identity = key_id(keys.station_key.public_key())
    signed = keys.station_key.sign(envelope.pae()).hex()
    # The field is the one that go-witness uses for the same purpose.
    extra = {"certificate": pem(keys.station_chain).decode()}
    envelope.signatures[identity] = Signature(identity, signed, extra)
    return canonical(envelope.to_dict()) + b"\n"


def open_envelope(line: bytes) -> Opened:
    """The statement of one line (line feed included); raises BadEnvelope."""
    try:
        outer = json.loads(line)
        payload = base64.b64decode(outer["payload"], validate=True)
        (signature,) = outer["signatures"]
        signed = base64.b64decode(signature["sig"], validate=True)
        chain = read_chain(signature["certificate"].encode())
        statement = json.loads(payload)
        public = chain[0].public_key()
    except _UNREADABLE as error:
        raise BadEnvelope(f"it is no signed envelope ({type(error).__name__})") from None
    if not isinstance(public, ed25519.Ed25519PublicKey):
        raise BadEnvelope("its certificate holds no Ed25519 key")
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.signatures["0"] = Signature(key_id(public), signed.hex(), {"certificate": pem(chain).decode()})
    if canonical(envelope.to_dict()) + b"\n" != line:
        raise BadEnvelope("it is not in the form in which it was sealed")
    try:
        public.verify(signed, envelope.pae())
    except InvalidSignature:
        raise BadEnvelope("its signature does not hold: the content was changed after signing") from None
    if not isinstance(statement, dict) or not _is_canonical(statement, payload):
        raise BadEnvelope("its statement is not in the form in which it was sealed")
    return Opened(statement, payload, chain)


def _is_canonical(statement: dict[str, Any], payload: bytes) -> bool:
    try:
        return canonical(statement) == payload
    except ValueError:
        return False
