"""Reads a Strongroom repository in a local directory: written from repository/FORMAT.md alone, as a proof that this page is enough.
It trusts nothing but the key file: headers, signatures, hashes and chunk ids are checked on the way, and an error names the object it
is about. It never writes to the repository. Needs Python 3.11 and the packages cryptography, blake3 and zstandard."""
import argparse, collections, contextlib, functools, glob, hashlib, hmac, itertools, json, mmap, os, re, stat, struct, sys, types
from blake3 import blake3
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from zstandard import ZstdDecompressor, ZstdError
TYPES = {"config": 1, "keys": 2, "packs": 3, "pages": 4, "index": 5, "snapshots": 6, "commits": 8}
FILE, DIRECTORY, SYMLINK = 0, 1, 2  # the entries that this program restores; the others it only lists
MODES = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)
Frame = collections.namedtuple("Frame", "nonce epoch sealed_key pack ordinal offset sealed plain compression")
class Bad(ValueError): """Something is missing, damaged or forged; the text names the object."""
@contextlib.contextmanager
def about(name):  # whatever turns out wrong inside, the error says what it is about
    try: yield
    except (ValueError, LookupError, TypeError, OSError, struct.error, ZstdError, InvalidSignature, InvalidTag) as error:
        raise Bad(f"{name}: {str(error) or type(error).__name__}") from error
def need(condition, text):
    if not condition: raise ValueError(text)
u32, u64 = struct.Struct("<I").pack, struct.Struct("<Q").pack
def derive(context, key): return blake3(key, derive_key_context="strongroom v1 " + context).digest()
def keyed(key, data): return blake3(data, key=key).digest()
def public(private): return private.public_key().public_bytes_raw()
def unzstd(data): return ZstdDecompressor().decompress(data, allow_extra_data=False)
def split(path): return tuple(name for name in path.split(b"/") if name not in (b"", b".", b".."))
def shown(path): return os.fsdecode(b"/" + b"/".join(path))
def total(pairs): return sum(length for _, length in pairs)
def unescape(text):  # to the bytes that a path or name in JSON stands for
    return re.sub(rb"\\(?:\\|x([0-9a-f]{2}))", lambda m: bytes.fromhex(m[1].decode()) if m[1] else b"\\", text.encode())
def kind(name): return bytes([TYPES[name.split("/")[0]]])
def bound(name):  # the part of an object's name that signatures and seals cover
    folder, _, last = name.partition("/")
    return bytes.fromhex(last) if folder == "keys" else u64(int(last, 16)) if folder == "commits" else b""
def key_name(owner, epoch=0): return "keys/" + derive("key name", owner + u32(epoch))[:16].hex()
def hpke(private, message, info, aad):  # RFC 9180 by hand: `cryptography` takes no aad in its own. No output exceeds one HMAC block
    def mac(key, *parts): return hmac.digest(key, b"".join(parts), hashlib.sha256)
    kem, suite = b"HPKE-v1KEM\x00\x20", b"HPKE-v1HPKE\x00\x20\x00\x01\x00\x02"
    secret = mac(b"", kem, b"eae_prk", private.exchange(x25519.X25519PublicKey.from_public_bytes(message[:32])))
    secret = mac(mac(secret, b"\x00\x20", kem, b"shared_secret", message[:32], public(private), b"\x01"), suite, b"secret")
    context = b"\x00" + mac(b"", suite, b"psk_id_hash") + mac(b"", suite, b"info_hash", b"strongroom v1 ", info)
    key, nonce = mac(secret, b"\x00\x20", suite, b"key", context, b"\x01"), mac(secret, b"\x00\x0c", suite, b"base_nonce", context, b"\x01")
    return AESGCM(key).decrypt(nonce[:12], message[32:], aad)
class Cursor:  # takes fields off the front of some bytes
    def __init__(self, data): self.data, self.at = data, 0
    def take(self, n):
        self.at += n
        need(self.at <= len(self.data), "ends early")
        return self.data[self.at - n:self.at]
    def u8(self): return self.take(1)[0]
    def u32s(self, n): return struct.unpack(f"<{n}I", self.take(4 * n))
    def u32(self): return self.u32s(1)[0]
    def table(self, form): return list(struct.iter_unpack("<" + form, self.take(self.u32() * struct.calcsize("<" + form))))
    def varint(self, most=10):
        need(most, "a varint is too long")
        byte = self.u8()
        return byte if byte < 128 else byte - 128 + (self.varint(most - 1) << 7)
    def bytes(self): return self.take(self.varint())
    def hash(self): return self.take(32)
    def pair(self): return self.varint(), self.varint()
    def many(self, *readers): return [tuple(read() for read in readers) for _ in range(self.varint())]
    def chunks(self): return self.many(self.hash, self.varint)
    def time(self):
        zigzag, nanoseconds = self.pair()
        return (zigzag >> 1 ^ -(zigzag & 1)) * 10**9 + nanoseconds
    def entry(self, directory):
        entry = types.SimpleNamespace(path=(*directory, self.bytes()), kind=self.u8())
        fields, entry.mode, entry.uid, entry.gid, entry.mtime = *(self.varint() for _ in range(4)), self.time()
        need(split(b"/".join(entry.path)) == entry.path and fields < 1 << len(FIELDS), f"{shown(entry.path)}: no path, or unknown fields")
        entry.size = self.varint() if entry.kind == FILE else 0
        for bit, (field, read) in enumerate(FIELDS.items()): setattr(entry, field, read(self) if fields >> bit & 1 else None)
        return entry
FIELDS = {  # of an entry, by their bits
    "birth": Cursor.time, "link": Cursor.pair, "xattrs": lambda c: c.many(c.bytes, c.bytes), "flags": Cursor.varint,
    "project": Cursor.varint, "extents": lambda c: c.many(c.varint, c.varint), "hash": Cursor.hash, "chunks": Cursor.chunks,
    "chunk_pages": Cursor.chunks, "target": Cursor.bytes, "device": Cursor.pair, "consistency": Cursor.u8, "one_chunk": lambda _: True}
class Repository:
    def __init__(self, root, key_file):
        self.root, self.admin, self.strict = root, None, False
        self.snapshots, self.runs, self.places, self.barred = {}, [], collections.defaultdict(list), set()
        with about(key_file), open(key_file, encoding="utf-8") as file:
            key = json.load(file)
            need(key["strongroom-key"] == 1 and key["role"] == "reader", f"a {key['role']}'s key cannot read, a reader's (version 1) can")
            self.id, private = bytes.fromhex(key["repository"]), bytes.fromhex(key["private-key"])
        with about("config"): self.open_keys(x25519.X25519PrivateKey.from_private_bytes(private))
        self.read_history()
    def names(self, folder, digits): return sorted(glob.glob(folder + "[0-9a-f]" * digits, root_dir=self.root))
    @functools.lru_cache(maxsize=64)
    def object(self, name):
        with open(os.path.join(self.root, name), "rb") as file: data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        need(data[:24] == b"SRM\x1a\x01" + kind(name) + b"\x01\x00" + self.id, "wrong header (another repository, or a newer format?)")
        need(not name.startswith(("index", "snapshots")) or name.endswith(blake3(data).hexdigest()), "its BLAKE3 is not its name")
        return data
    def signed(self, name):
        data = self.object(name)
        signer, signature, body = data[24:56], data[56:120], data[120:]
        ed25519.Ed25519PublicKey.from_public_bytes(signer).verify(signature, b"strongroom v1 signed" + data[:24] + bound(name) + body)
        if self.admin and signer != self.admin:  # then only a writer whose key the admin signed
            need(not name.startswith("keys/") and (name.startswith("commits/") or self.key("writer", signer)), f"{signer.hex()} may not sign it")
        return signer, body
    def key(self, role, owner, epoch=0):
        name = key_name(owner, epoch)
        with about(f"{role}'s key {name}"):
            key = json.loads(self.signed(name)[1])
            need((key["kind"], key["public-key"], key.get("epoch", 0)) == (role, owner.hex(), epoch), "is another's")
            return key
    def inventory(self, name, blob):
        cipher, aad = AESGCM(keyed(self.keys["inventory"], b"blob" + kind(name) + blob[:32])), self.id + kind(name) + bound(name)
        blocks = [blob[start:start + 2**20 + 16] for start in range(32, len(blob), 2**20 + 16)]  # 1 MiB and a tag each, but for the last
        nonces = (bytes([i + 1 == len(blocks), 0, 0, 0]) + u64(i) for i in itertools.count())
        return unzstd(b"".join(cipher.decrypt(nonce, block, aad) for nonce, block in zip(nonces, blocks)))
    def open_keys(self, holder):
        self.admin, body = self.signed("config")  # or so it claims: only the base secret proves it
        config, own, here = json.loads(body), public(holder), self.names("keys/", 32)
        keys = {epoch: self.key("holder", own, epoch) for epoch in range(1, 4096) if key_name(own, epoch) in here}
        need(keys, f"nothing in keys/ is for this key file, whose public key is {own.hex()}")
        secrets = {epoch: hpke(holder, bytes.fromhex(key["sealed"]), b"key" + self.id, u32(epoch)) for epoch, key in keys.items()}
        base, *others = {secret[:32] for secret in secrets.values()}
        admin = public(ed25519.Ed25519PrivateKey.from_private_bytes(derive("admin signing key", base)))
        need(not others and admin == self.admin, "not signed by the admin key")
        need(config == config | {"format": 1, "repository": self.id.hex(), "admin-key": admin.hex()}, "of another format or repository")
        self.keys = {use: derive(use + " key", derive("writer secret", base)) for use in ("inventory", "chunk id", "page id")}
        self.epochs = {epoch: x25519.X25519PrivateKey.from_private_bytes(secret[32:]) for epoch, secret in secrets.items()}
        self.announced = {config["epoch"]: config["public-key"]}
    def open_epoch(self, epoch, *sealed):
        private = self.epochs.get(epoch)
        need(private and public(private).hex() == self.announced.get(epoch), f"this key file has no announced key of epoch {epoch}")
        return hpke(private, *sealed)
    def read_history(self):
        previous, self.holds = None, {}
        for number, name in enumerate(self.names("commits/", 16), 1):
            with about(name):
                signer, body = self.signed(name)
                commit = json.loads(self.inventory(name, body))
                need((name, commit["number"], commit["previous"]) == (f"commits/{number:016x}", number, previous), "is not the next commit")
                previous = blake3(self.object(name)).hexdigest()
                steps = [step for operation in commit["operations"] for step in operation.items()]
                adds = all(what == "add-snapshot" and how["session"] not in self.barred for what, how in steps)
                if signer != self.admin and not (adds and signer.hex() not in self.barred and key_name(signer) in self.names("keys/", 32)):
                    steps = print(f"warning: {name} is void: its signer had no right to it", file=sys.stderr) or []
                for what, how in steps:
                    if what == "add-snapshot": self.snapshots[how["snapshot"]], self.runs = how["session"], self.runs + how["index"]
                    elif what == "replace-index": self.runs = [run for run in self.runs if run not in how["drop"]] + how["add"]
                    elif what == "drop-snapshot":
                        if not any(until is None or until > commit["time"] for until in self.holds.get(how["snapshot"], {}).values()):
                            self.snapshots.pop(how["snapshot"], None), self.holds.pop(how["snapshot"], None)
                    elif what == "hold": self.holds.setdefault(how["snapshot"], {})[how["name"]] = how["until"]
                    elif what == "release": self.holds.get(how["snapshot"], {}).pop(how["name"], None)
                    elif what == "new-epoch": self.announced[how["epoch"]] = how["public-key"]
                    elif what in ("fence", "revoke-writer"): self.barred.update(how.values())
                    else: need(what in ("condemn", "reprieve", "sweep", "discard"), f"unknown operation {what}")  # nothing for readers in those
    def open_snapshot(self, wanted):
        with about(f"snapshots/{wanted}"):
            found = [id for id in self.snapshots if id.startswith(wanted)] if wanted != "latest" else list(self.snapshots)[-1:]
            need(len(found) == 1, f"{len(found)} snapshots match")
            name = f"snapshots/{found[0]}"
            cursor = Cursor(self.signed(name)[1])
            epoch, plan = cursor.u32(), json.loads(self.inventory(name, cursor.take(cursor.u32())))
            manifest = unzstd(self.open_epoch(epoch, cursor.data[cursor.at:], b"snapshot" + self.id, u32(epoch)))
            self.live = {bytes.fromhex(nonce): int.from_bytes(bytes.fromhex(bits), "little") for nonce, bits in plan["live"].items()}
            self.snapshot = types.SimpleNamespace(id=found[0], **json.loads(manifest))
            return self.snapshot
    def load_index(self):  # into `places`: by the first 16 bytes of an id, each frame, offset and length where that chunk or page may lie
        for name in (f"index/{run}" for run in self.runs):
            with about(name):
                cursor = Cursor(self.inventory(name, self.object(name)[24:]))
                segments = cursor.table("16sI80s")
                packs = [f"{'packs' if sort == 3 else 'pages'}/{id[:1].hex()}/{id.hex()}" for id, sort, _ in cursor.table("32sIQ")]
                frames = [Frame(*segments[segment], packs[pack], *rest) for pack, segment, *rest in cursor.table("7I")]
                ids = [cursor.take(16) for _ in range(cursor.u32())]
                places = zip(*[cursor.u32s(len(ids)) for _ in range(3)])
                for id, (frame, at, length) in zip(ids, places): self.places[id].append((frames[frame], at, length))
    def load_footers(self):
        for name in self.names("packs/??/", 64) + self.names("pages/??/", 64):
            with about(name):
                size, _, check, magic = struct.unpack("<II16s8s", self.object(name)[-32:])
                footer = self.object(name)[-32 - size:-32]
                need(magic == b"SRPKEND1" and blake3(footer).digest()[:16] == check, "its trailer or footer is damaged")
                cursor = Cursor(self.inventory(name, footer))
                segments, frames, ids = cursor.table("16sI80s"), cursor.table("7I"), [cursor.take(16) for _ in range(cursor.u32())]
                chunks = zip(ids, cursor.u32s(len(ids)))
                for segment, *rest, count in frames:
                    inside, frame = list(itertools.islice(chunks, count)), Frame(*segments[segment], name, *rest)
                    starts = itertools.accumulate((length for _, length in inside), initial=0)
                    for (id, length), at in zip(inside, starts): self.places[id].append((frame, at, length))
    @functools.lru_cache(maxsize=16)  # neighbours in a file are mostly neighbours in a frame
    def open_frame(self, frame):
        with about(f"{frame.pack}, frame at {frame.offset}"):
            data = self.object(frame.pack)[frame.offset:frame.offset + 32 + frame.sealed]
            fields = struct.pack("<IIIBBH", frame.ordinal, frame.sealed, frame.plain, frame.compression, 1, 0)
            header = b"\xf5SRF" + fields + frame.nonce[:8]
            need(data[:32] == header + blake3(header).digest()[:4], "its header is not as indexed")
            key = self.open_epoch(frame.epoch, frame.sealed_key, b"segment" + self.id, frame.nonce)
            plain = AESGCM(key).decrypt(bytes(4) + u64(frame.ordinal), data[32:], self.id + kind(frame.pack) + frame.nonce + fields[:14])
            plain = unzstd(plain) if frame.compression else plain
            need(len(plain) == frame.plain, f"has {len(plain)} bytes, not {frame.plain}")
            return plain
    def piece(self, what, id, size=None):  # if two sessions stored the same one, only what the snapshot calls live is sure to stay
        with about(f"{what} {id.hex()}"):
            places = ((self.live.get(frame.nonce, 0) >> frame.ordinal & 1, frame, at, length) for frame, at, length in self.places[id[:16]])
            live, frame, at, length = max(places, default=(0, None, 0, 0))
            need(frame, "not in the repository")
            need(live or not self.strict, "in no frame that the snapshot calls live")
            piece = self.open_frame(frame)[at:at + length]
            need(keyed(self.keys[what + " id"], blake3(piece).digest()) == id and size in (None, length), f"{frame.pack} has another in its place")
            return piece
    def walk(self, path, page):  # the entries at and below a path (a tuple of names), in their order
        cursor = Cursor(self.piece("page", page))
        with about(f"page {page.hex()}"):
            if (sort := cursor.u8()) == 0:
                for _ in "ug": cursor.many(cursor.varint, cursor.bytes)  # the users' and groups' names
                while cursor.at < len(cursor.data):
                    directory = split(cursor.bytes())
                    yield from (entry for entry, in cursor.many(lambda: cursor.entry(directory)) if entry.path[:len(path)] == path)
                return
            need(sort == 1, f"is of kind {sort} inside the tree")
            _level, children = cursor.varint(), cursor.many(lambda: split(cursor.bytes()), cursor.bytes, cursor.hash, cursor.pair)
        for child, after in zip(children, [*children[1:], None]):  # but none that ends before the path or begins after it
            if child[0][:len(path)] <= path and not (after and after[:2] <= (path[:-1], *path[-1:])): yield from self.walk(path, child[2])
    def find(self, texts):
        for path in (split(os.fsencode(text)) for text in texts):
            entry = None
            for entry in self.walk(path, bytes.fromhex(self.snapshot.root)) if self.snapshot.root else (): yield entry
            need(entry or not path, f"no {shown(path)} in snapshot {self.snapshot.id}")
    def content(self, entry):  # the whole file, as pairs: is it data, and the bytes; holes are zeros; at the end its hash is checked
        with about(shown(entry.path)):
            data_size = entry.size if entry.extents is None else total(entry.extents)
            chunks = [(keyed(self.keys["chunk id"], entry.hash), data_size)] if entry.one_chunk else list(entry.chunks or ())
            for page, size in entry.chunk_pages or ():
                cursor = Cursor(self.piece("page", page))
                need(cursor.u8() == 2 and total(listed := cursor.chunks()) == size, f"page {page.hex()} does not list {size} bytes")
                chunks += listed
            extents = entry.extents if entry.extents is not None else [(0, entry.size)] if chunks else []
            end = sum(map(sum, extents))
            need(end <= entry.size and total(chunks) == total(extents), "its chunks do not make its size")
            chunks, rest, hasher = iter(chunks), b"", blake3()
            for is_data, left in zip(itertools.cycle((False, True)), [*itertools.chain(*extents), entry.size - end]):
                while left:
                    if is_data: rest = rest or self.piece("chunk", *next(chunks))
                    part = rest[:left] if is_data else bytes(min(left, 2**20))
                    rest, left = rest[len(part):] if is_data else rest, left - len(part)
                    hasher.update(part)
                    yield is_data, part
            need(entry.hash in (None, hasher.digest()), "its BLAKE3 is not the recorded one")
def list_snapshots(repository, *_):
    for snapshot in map(repository.open_snapshot, repository.snapshots):
        print(snapshot.id, snapshot.time, snapshot.host, *(os.fsdecode(unescape(source)) for source in snapshot.sources))
def ls(repository, paths, _):
    for entry in repository.find(paths or ["/"]):
        columns = stat.filemode(MODES[entry.kind] | entry.mode), entry.uid, entry.gid, entry.size, entry.mtime // 10**9, shown(entry.path)
        print(*columns, *["-> " + os.fsdecode(entry.target)] if entry.target else "")
def cat(repository, paths, _):
    for entry in repository.find(paths):
        need(entry.kind == FILE, f"{shown(entry.path)} is not a regular file")
        for _, part in repository.content(entry): sys.stdout.buffer.write(part)
def restore(repository, paths, folder):
    done = []
    for entry in repository.find(paths):
        target = os.path.join(os.fsencode(folder), *entry.path)
        os.makedirs(target if entry.kind == DIRECTORY else os.path.dirname(target), exist_ok=True)
        if entry.kind == FILE:
            with open(target, "xb") as file:
                for is_data, part in repository.content(entry): file.write(part) if is_data else file.seek(len(part), os.SEEK_CUR)
                file.truncate(entry.size)
        if entry.kind in (FILE, DIRECTORY, SYMLINK): done.append((entry, target))
        else: print(f"warning: {shown(entry.path)}: left out, as it is neither file, directory nor symlink", file=sys.stderr)
    for entry, target in reversed(done):  # symlinks only now, so that nothing was written through one; directories after their content
        if entry.kind == SYMLINK: os.symlink(entry.target, target)
        else: os.chmod(target, entry.mode)
        os.utime(target, ns=(entry.mtime, entry.mtime), follow_symlinks=False)
def verify(repository, *_):
    repository.strict, count, failed, last = True, 0, 0, ((), b"")
    for count, entry in enumerate(repository.find(["/"]), 1):
        need(last < (last := (entry.path[:-1], entry.path[-1])), f"{shown(entry.path)} is out of order in the tree")
        try: collections.deque(repository.content(entry), maxlen=0)
        except Bad as error:
            failed += 1
            print(error, file=sys.stderr)
    print(f"{count} entries, {failed} of them damaged")
    need(not failed, f"snapshot {repository.snapshot.id} is damaged")
def main():
    commands = {"list": (list_snapshots, 0), "ls": (ls, 1), "verify": (verify, 1), "cat": (cat, 2), "restore": (restore, 2)}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repository")
    parser.add_argument("--key", required=True, help="a reader's key file")
    parser.add_argument("--from-footers", action="store_true", help="find chunks by the packs' own footers, not by index/")
    parser.add_argument("--target", default=".", help="where restored files go, each below it with its whole path")
    parser.add_argument("command", choices=commands)
    parser.add_argument("operands", nargs="*", help="a snapshot (the beginning of its id, `latest`, or `every`) and paths in it")
    arguments = parser.parse_intermixed_args()
    (command, least), operands = commands[arguments.command], arguments.operands
    if len(operands) < least: parser.error(f"{arguments.command} needs a snapshot" + " and a path" * (least > 1))
    for stream in (sys.stdout, sys.stderr): stream.reconfigure(errors="surrogateescape")  # names need not be UTF-8
    try:
        with about(arguments.repository):
            repository = Repository(arguments.repository, arguments.key)
            if not least: return command(repository, operands, arguments.target)
            repository.load_footers() if arguments.from_footers else repository.load_index()
            for wanted in list(repository.snapshots) if operands[0] == "every" else operands[:1]:
                repository.open_snapshot(wanted)
                command(repository, operands[1:], arguments.target)
    except Bad as error: sys.exit(f"error: {error}")
if __name__ == "__main__": main()
