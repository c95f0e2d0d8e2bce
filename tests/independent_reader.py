#!/usr/bin/env python3
"""Reads a Strongroom repository in a local directory: written from repository/FORMAT.md alone, as a proof that this page is enough.

It trusts nothing but the key file: headers, signatures, hashes and chunk ids are checked on the way, and an error names the object it
is about. It never writes to the repository. Needs Python 3.11 and the packages cryptography, blake3 and zstandard.
"""
import argparse, collections, contextlib, functools, hashlib, hmac, itertools, json, os, re, stat, struct, sys
from types import SimpleNamespace
from blake3 import blake3
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from zstandard import ZstdDecompressor, ZstdError

TYPES = {"config": 1, "keys": 2, "packs": 3, "pages": 4, "index": 5, "snapshots": 6, "commits": 8}
FILE, DIRECTORY, SYMLINK = 0, 1, 2  # the entries that this program restores; the others it only lists
MODES = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)
MIB = 1 << 20
Frame = collections.namedtuple("Frame", "nonce epoch sealed_key pack ordinal offset sealed plain compression")

class Bad(Exception):
    """Something is missing, damaged or forged; the text names the object."""
@contextlib.contextmanager
def about(name):
    """Whatever turns out wrong inside, the error says what it is about; the innermost name wins."""
    try: yield
    except (ValueError, LookupError, TypeError, OSError, struct.error, ZstdError, InvalidSignature, InvalidTag) as error:
        raise Bad(f"{name}: {getattr(error, 'strerror', None) or str(error) or type(error).__name__}") from error
def need(condition, text):
    if not condition: raise ValueError(text)
def warn(text): print(f"warning: {text}", file=sys.stderr)
def u32(n): return struct.pack("<I", n)
def u64(n): return struct.pack("<Q", n)
def derive(context, key): return blake3(key, derive_key_context="strongroom v1 " + context).digest()
def keyed(key, data): return blake3(data, key=key).digest()
def unzstd(data): return ZstdDecompressor().decompress(data, allow_extra_data=False)
def unescape(text):
    """The bytes that a path or name in JSON stands for."""
    return re.sub(rb"\\(?:\\|x([0-9a-f]{2}))", lambda m: bytes.fromhex(m[1].decode()) if m[1] else b"\\", text.encode())
def split(path): return tuple(name for name in path.split(b"/") if name)
def bound(name):
    """The part of an object's name that signatures and seals cover."""
    folder, _, last = name.partition("/")
    return bytes.fromhex(last) if folder == "keys" else u64(int(last, 16)) if folder == "commits" else b""
def public(private): return private.public_key().public_bytes_raw()
def hpke(private, message, info, aad):
    """Opens RFC 9180 base mode by hand, as `cryptography` takes no aad in its own. No output is longer than one HMAC block."""
    def extract(suite, salt, label, key): return hmac.digest(salt, b"HPKE-v1" + suite + label + key, hashlib.sha256)
    def expand(suite, key, label, info, n):
        return hmac.digest(key, n.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\x01", hashlib.sha256)[:n]
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"
    dh = private.exchange(X25519PublicKey.from_public_bytes(message[:32]))
    shared = expand(kem, extract(kem, b"", b"eae_prk", dh), b"shared_secret", message[:32] + public(private), 32)
    context = b"\x00" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", b"strongroom v1 " + info)
    secret = extract(suite, shared, b"secret", b"")
    key, nonce = expand(suite, secret, b"key", context, 32), expand(suite, secret, b"base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, message[32:], aad)

class Cursor:
    """Takes fields off the front of some bytes."""
    def __init__(self, data): self.data, self.at = data, 0
    def take(self, n):
        self.at += n
        need(self.at <= len(self.data), "ends early")
        return self.data[self.at - n:self.at]
    def u8(self): return self.take(1)[0]
    def u32(self): return struct.unpack("<I", self.take(4))[0]
    def rows(self, form, n): return list(struct.iter_unpack("<" + form, self.take(struct.calcsize("<" + form) * n)))
    def table(self, form): return self.rows(form, self.u32())
    def columns(self, *forms):
        n = self.u32()
        return zip(*[[value for value, in self.rows(form, n)] for form in forms])
    def varint(self):
        byte = self.u8()
        return byte if byte < 128 else byte - 128 + (self.varint() << 7)
    def bytes(self): return self.take(self.varint())
    def hash(self): return self.take(32)
    def pair(self): return self.varint(), self.varint()
    def many(self, *readers): return [tuple(read() for read in readers) for _ in range(self.varint())]
    def chunks(self): return self.many(self.hash, self.varint)
    def time(self):
        zigzag = self.varint()
        return (zigzag >> 1 ^ -(zigzag & 1)) * 10**9 + self.varint()
    def entry(self, directory):
        entry = SimpleNamespace(path=(*directory, self.bytes()), kind=self.u8())
        need(not {b"", b".", b".."} & {*entry.path} and b"/" not in entry.path[-1], "a name that no file can have")
        fields, entry.mode, entry.uid, entry.gid, entry.mtime = *(self.varint() for _ in range(4)), self.time()
        need(fields < 1 << len(FIELDS), "an entry has unknown fields")
        entry.size = self.varint() if entry.kind == FILE else 0
        for bit, (field, read) in enumerate(FIELDS.items()): setattr(entry, field, read(self) if fields >> bit & 1 else None)
        return entry
FIELDS = {  # of an entry, by their bits
    "birth": Cursor.time, "link": Cursor.pair, "xattrs": lambda cursor: cursor.many(cursor.bytes, cursor.bytes), "flags": Cursor.varint,
    "project": Cursor.varint, "extents": lambda cursor: cursor.many(cursor.varint, cursor.varint), "hash": Cursor.hash,
    "chunks": Cursor.chunks, "chunk_pages": Cursor.chunks, "target": Cursor.bytes, "device": Cursor.pair, "consistency": Cursor.u8}

class Repository:
    def __init__(self, root, key_file):
        self.root, self.snapshots, self.runs, self.places = root, {}, [], collections.defaultdict(list)
        self.signers, self.strict, self.used = None, False, set()
        with about(key_file), open(key_file, encoding="utf-8") as file:
            key = json.load(file)
            need(key["strongroom-key"] == 1, "not a key file of version 1")
            need(key["role"] == "reader", f"a {key['role']}'s key cannot read, only a reader's can")
            self.id, holder = bytes.fromhex(key["repository"]), X25519PrivateKey.from_private_bytes(bytes.fromhex(key["private-key"]))
        self.open_keys(holder)
        self.read_history()

    # Objects
    def read(self, name, offset=0, length=-1):
        """Part of an object; a negative offset counts from its end."""
        with open(os.path.join(self.root, name), "rb") as file:
            file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
            data = file.read(length)
        need(length in (-1, len(data)), "ends early")
        return data
    def names(self, pattern):
        found = (os.path.join(folder, name) for folder, _, names in os.walk(self.root) for name in names)
        return sorted(name for name in (os.path.relpath(name, self.root) for name in found) if re.fullmatch(pattern, name))
    def object(self, name, length=-1):
        data, (folder, *_, last) = self.read(name, 0, length), ("", *name.split("/"))[-3:] if False else name.split("/")
        return data
