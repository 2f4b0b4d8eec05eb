"""SHA-256 without OpenSSL, whose loading takes longer than all that is hashed here."""

try:
    from _sha2 import sha256  # Python 3.12 and newer
except ImportError:
    try:
        from _sha256 import sha256
    except ImportError:
        from hashlib import sha256

__all__ = ["sha256"]
