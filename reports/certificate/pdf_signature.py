"""The PDF's own signature: PAdES baseline B (ETSI EN 319 142-1), ECDSA on P-256, and the same bytes every time.

pyHanko draws the file identifier at random, stamps the present time and picks a random ECDSA nonce. Here the
identifier comes from the content, the time from the journal and the nonce from RFC 6979, so that `rackproof report`
writes a certificate again byte for byte.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import zlib
from dataclasses import dataclass
from datetime import datetime

from asn1crypto import keys as asn1_keys  # type: ignore[import-untyped]
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import signers
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers.cms_embedder import PdfCMSEmbedder, SigIOSetup, SigMDPSetup, SigObjSetup
from pyhanko.sign.signers.pdf_byterange import SignatureObject
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

from reports.certificate.signing import Keys

FIELD = "Certificate"
_RESERVED = 16384
_UNREADABLE = (
    PdfError,
    SignatureValidationError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    OSError,
    zlib.error,
)
"""What pyHanko lets through where a document is broken."""


class _Signer(signers.SimpleSigner):
    """pyHanko's signer with the nonce of RFC 6979."""

    def sign_raw(self, data: bytes, digest_algorithm: str) -> bytes:
        key = serialization.load_der_private_key(self.signing_key.dump(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or digest_algorithm != "sha256":
            raise TypeError("the PDF is signed with ECDSA on P-256 and SHA-256 only")
        return key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


class _Writer(IncrementalPdfFileWriter):
    """pyHanko's incremental writer that leaves the document's own dates and producer as typst set them."""

    def _update_meta(self) -> None:
        """Nothing: the signature's time is in the signature."""


def sign_pdf(document: bytes, keys: Keys, at: datetime, *, name: str, place: str, reason: str) -> bytes:
    """`document` with a certification signature over all of it, dated `at`; any later change breaks it."""
    writer = _Writer(io.BytesIO(document))
    first = writer._document_id[0]  # noqa: SLF001  the public name is read only
    second = generic.ByteStringObject(hashlib.sha256(document).digest()[:16])
    writer._document_id = generic.ArrayObject([first, second])  # noqa: SLF001
    chain = [_asn1(certificate) for certificate in (*keys.paper_chain, keys.root)]
    signer = _Signer(chain[0], _asn1_key(keys.paper_key), _store(chain[1:]))
    steps = PdfCMSEmbedder(new_field_spec=SigFieldSpec(FIELD)).write_cms(FIELD, writer)
    next(steps)
    placeholder = SignatureObject(
        timestamp=at,
        subfilter=SigSeedSubFilter.PADES,
        name=name,
        location=place,
        reason=reason,
        bytes_reserved=_RESERVED,
    )
    locked = SigMDPSetup(md_algorithm="sha256", certify=True, docmdp_perms=MDPPerm.NO_CHANGES)
    steps.send(SigObjSetup(placeholder, mdp_setup=locked))
    prepared, output = steps.send(SigIOSetup(md_algorithm="sha256"))
    cms = asyncio.run(signer.async_sign(prepared.document_digest, "sha256", use_pades=True))
    steps.send(cms)
    return bytes(output.getvalue())


@dataclass(frozen=True)
class PdfCheck:
    """What the signature of a PDF is worth; `problem` is empty where it holds."""

    problem: str
    attachments: dict[str, bytes]


def check_pdf(document: bytes, root: x509.Certificate, moment: datetime) -> PdfCheck:
    """Whether one valid signature of a chain up to `root` covers the whole of `document`, as of `moment`."""
    try:
        reader = PdfFileReader(io.BytesIO(document))
        attachments = _attachments(reader)
        signatures = reader.embedded_signatures
        if len(signatures) != 1:
            return PdfCheck(f"it carries {len(signatures)} signatures instead of one", attachments)
        context = ValidationContext(trust_roots=[_asn1(root)], moment=moment, allow_fetching=False)
        status = validate_pdf_signature(signatures[0], signer_validation_context=context)
    except _UNREADABLE as error:
        return PdfCheck(f"its signature cannot be read ({type(error).__name__})", {})
    if not status.intact or not status.valid:
        return PdfCheck("its signature does not hold: the document was changed after signing", attachments)
    if not status.trusted:
        return PdfCheck("its signature was not made under this root certificate", attachments)
    if not status.bottom_line:
        return PdfCheck("its signature does not cover the whole document", attachments)
    return PdfCheck("", attachments)


def _attachments(reader: PdfFileReader) -> dict[str, bytes]:
    names = reader.root["/Names"]["/EmbeddedFiles"]["/Names"]
    return {str(names[i]): bytes(names[i + 1]["/EF"]["/F"].data) for i in range(0, len(names), 2)}


def _store(certificates: list[asn1_x509.Certificate]) -> SimpleCertificateStore:
    store: SimpleCertificateStore = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    store.register_multiple(certificates)
    return store


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(certificate.public_bytes(serialization.Encoding.DER))


def _asn1_key(key: ec.EllipticCurvePrivateKey) -> asn1_keys.PrivateKeyInfo:
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return asn1_keys.PrivateKeyInfo.load(der)
