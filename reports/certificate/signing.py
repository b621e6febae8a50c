"""The station's keys: loaded from a directory, or made once as a demo that says so in its very name.

A key directory holds `root.pem` (the company's root certificate), `station.pem` and `station.key` (Ed25519, signs the
statements), `paper.pem` and `paper.key` (P-256, signs the PDF: poppler and most readers know no Ed25519). The two
station files may hold intermediate certificates below the leaf. Keys are PKCS#8 PEM of mode 0600; encrypted ones are
opened with the passphrase in RACKPROOF_KEY_PASSPHRASE.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from harness.errors import DefinitionError, Problem

DEMO_ORGANISATION = "DEMO - NOT FOR RELEASE"
PASSPHRASE = "RACKPROOF_KEY_PASSPHRASE"  # the name of the variable, no secret
PUBLIC_FILES = ("root.pem", "station.pem", "paper.pem")
_FROM = datetime(2020, 1, 1, tzinfo=UTC)

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Keys:
    """What a certificate is signed with. Chains run from the leaf up to, and without, the root."""

    directory: Path
    root: x509.Certificate
    station_chain: tuple[x509.Certificate, ...]
    station_key: ed25519.Ed25519PrivateKey
    paper_chain: tuple[x509.Certificate, ...]
    paper_key: ec.EllipticCurvePrivateKey
    made_now: bool = False
    """Whether this very call made the demo keys; it is said on the screen once."""

    @property
    def demo(self) -> bool:
        """Whether these keys prove nothing to a customer."""
        return is_demo(self.root)

    def public_files(self) -> dict[str, bytes]:
        """What a run directory keeps below `keys/`, so that verifying it needs nothing else."""
        chains = ((self.root,), self.station_chain, self.paper_chain)
        return {name: pem(chain) for name, chain in zip(PUBLIC_FILES, chains, strict=True)}


def is_demo(root: x509.Certificate) -> bool:
    """Whether a root certificate names itself a demo."""
    names = root.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return any(name.value == DEMO_ORGANISATION for name in names)


def pem(chain: Sequence[x509.Certificate]) -> bytes:
    """Certificates as PEM, one after the other; the only form of them that is accepted when verifying."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)


def read_chain(text: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM text, each readable to its last field; raises ValueError where one is not."""
    try:
        with warnings.catch_warnings():
            # A field of forbidden length is only warned of; here it is damage all the same.
            warnings.simplefilter("error")
            chain = tuple(x509.load_pem_x509_certificates(text))
            for certificate in chain:
                # The library reads these late, and a damaged one must not surprise whoever asks for them.
                _ = (certificate.subject, certificate.issuer, certificate.extensions, certificate.public_key())
                _ = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    except (TypeError, UserWarning, x509.InvalidVersion, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise ValueError(f"damaged certificate: {error}") from None
    return chain


def demo_directory() -> Path:
    """Where the demo keys live: `$XDG_DATA_HOME/rackproof/demo-keys` (XDG Base Directory Specification 0.8)."""
    data = os.environ.get("XDG_DATA_HOME", "")
    base = Path(data) if data else Path.home() / ".local" / "share"
    return base / "rackproof" / "demo-keys"


def load_or_make_keys(directory: Path | None) -> Keys:
    """The keys of `directory`; the demo keys, made at their first use, where it is None. Raises DefinitionError."""
    if directory is not None:
        return _load(directory, made_now=False)
    demo = demo_directory()
    made_now = not demo.exists()
    if made_now:
        _make_demo(demo)
    return _load(demo, made_now=made_now)


def _load(directory: Path, *, made_now: bool) -> Keys:
    root = _certificates(directory / "root.pem")[0]
    station = _certificates(directory / "station.pem")
    paper = _certificates(directory / "paper.pem")
    station_key = _key(directory / "station.key")
    paper_key = _key(directory / "paper.key")
    if not isinstance(station_key, ed25519.Ed25519PrivateKey):
        raise _wrong(directory / "station.key", "is no Ed25519 key; statements are signed with Ed25519")
    if not isinstance(paper_key, ec.EllipticCurvePrivateKey) or not isinstance(paper_key.curve, ec.SECP256R1):
        raise _wrong(directory / "paper.key", "is no P-256 key; the PDF is signed with ECDSA on P-256")
    if station[0].public_key() != station_key.public_key():
        raise _wrong(directory / "station.pem", "is not the certificate of station.key")
    if paper[0].public_key() != paper_key.public_key():
        raise _wrong(directory / "paper.pem", "is not the certificate of paper.key")
    return Keys(directory, root, station, station_key, paper, paper_key, made_now)


def _certificates(path: Path) -> tuple[x509.Certificate, ...]:
    try:
        return read_chain(path.read_bytes())
    except OSError as error:
        raise _wrong(
            path,
            f"cannot be read ({error.strerror}); a key directory holds root.pem, station.pem, "
            "station.key, paper.pem and paper.key",
        ) from None
    except ValueError:
        raise _wrong(path, "holds no PEM certificate") from None


def _key(path: Path) -> PrivateKey:
    secret = os.environ.get(PASSPHRASE)
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise _wrong(path, f"can be read by others; run: chmod 600 {path}")
        key = serialization.load_pem_private_key(path.read_bytes(), secret.encode() if secret else None)
    except OSError as error:
        raise _wrong(path, f"cannot be read ({error.strerror})") from None
    except TypeError as error:
        # The library tells by TypeError: encrypted without a passphrase, or the reverse.
        if secret:
            return _key_in_clear(path)
        raise _wrong(path, f"is encrypted: give its passphrase in {PASSPHRASE}") from error
    except ValueError:
        raise _wrong(path, "is no PKCS#8 PEM key, or the passphrase is wrong") from None
    return _signing_key(path, key)


def _key_in_clear(path: Path) -> PrivateKey:
    try:
        return _signing_key(path, serialization.load_pem_private_key(path.read_bytes(), None))
    except (TypeError, ValueError):
        raise _wrong(path, "is no PKCS#8 PEM key") from None


def _signing_key(path: Path, key: object) -> PrivateKey:
    if isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
        return key
    raise _wrong(path, "is neither an Ed25519 nor a P-256 key")


def _wrong(path: Path, text: str) -> DefinitionError:
    return DefinitionError([Problem(str(path), "", text)])


def _make_demo(directory: Path) -> None:
    """Make the demo authority in one rename, so that two stations starting at once end up with one set of keys."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    station_key = ed25519.Ed25519PrivateKey.generate()
    paper_key = ec.generate_private_key(ec.SECP256R1())
    root_name = _name("Rackproof demo root")
    root = _issue(root_name, root_name, root_key.public_key(), root_key, authority=True)
    station = _issue(_name("Rackproof demo station"), root_name, station_key.public_key(), root_key, authority=False)
    paper = _issue(_name("Rackproof demo certificates"), root_name, paper_key.public_key(), root_key, authority=False)
    directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = Path(tempfile.mkdtemp(prefix=".demo-keys-", dir=directory.parent))
    try:
        for name, certificate in zip(PUBLIC_FILES, (root, station, paper), strict=True):
            (draft / name).write_bytes(pem([certificate]))
        for name, key in (("station.key", station_key), ("paper.key", paper_key)):
            _write_private(draft / name, key)
        # The root's private key is thrown away: nobody can issue a second demo station in its name.
        draft.rename(directory)
    except OSError:
        if not directory.exists():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, DEMO_ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _issue(
    subject: x509.Name,
    issuer: x509.Name,
    public: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_FROM + timedelta(days=365 * 30))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    return builder.sign(issuer_key, hashes.SHA256())


def _write_private(path: Path, key: PrivateKey) -> None:
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(text)
