"""What teachers have said about images, kept so that each image is taught once."""

import contextlib
import hashlib
import math
import sqlite3
import zlib
from collections import OrderedDict
from pathlib import Path

import joblib
import keras
import numpy as np

from skkd._warnings import warn

# What SQLite and its reading fail with on a damaged file.
_DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError, TypeError)

# Outputs of the last teachers that were asked, for every fit of the process.
_MOST_TEACHERS = 16
_in_memory = OrderedDict()


@contextlib.contextmanager
def remembering(teacher, batch_size, memory=None, check=None):
    """Give a function ``(images, digests) -> logits`` that asks a teacher about each image once.

    The teacher sees ``batch_size`` images at a time. ``memory`` is the folder in which outputs are
    kept, shared by processes; None keeps them in this process. ``check``, a function of logits,
    raises for those that are not to be kept.
    """

    def ask(images, digests):
        positions = {digest: position for position, digest in enumerate(digests)}

        def ask_about(some):
            logits = teacher.logits(images[[positions[digest] for digest in some]], batch_size)
            if check is not None:
                check(logits)
            return logits

        # The store stays locked while the teacher answers, so that of several processes one
        # asks and the others wait for its answer.
        with store.transaction():
            known = _checked(store, store.get(list(positions)), ask_about)
            if known and check is not None:
                check(np.stack(list(known.values())))
            if missing := [digest for digest in positions if digest not in known]:
                new = dict(zip(missing, ask_about(missing), strict=True))
                store.put(new)
                known.update(new)
        return np.stack([known[digest] for digest in digests])

    with _open_store(teacher, memory) as store:
        yield ask


def _checked(store, known, ask_about):
    """Ask again about a few images that a store made elsewhere knows, and empty it if it errs."""
    if store.trusted or not known:
        return known
    sample = list(known)[:4]
    if np.allclose(ask_about(sample), [known[d] for d in sample], rtol=1e-2, atol=1e-2):
        store.trust()
        return known
    warn(f"the kept outputs in {store.path} are not what the teacher says now; they are made anew")
    store.clear()
    return {}


def _open_store(teacher, memory):
    folder = memory.location if isinstance(memory, joblib.Memory) else memory
    fingerprint = teacher.fingerprint()
    if fingerprint is None and teacher.identity is None:
        return _MemoryStore()
    if folder is None:
        key = fingerprint or (teacher.outputs, _Identity(teacher.identity))
        store = _in_memory.setdefault(key, _MemoryStore())
        _in_memory.move_to_end(key)
        while len(_in_memory) > _MOST_TEACHERS:
            _in_memory.popitem(last=False)
        return store
    if fingerprint is None:
        raise ValueError(
            "memory: a function's outputs can be kept on disk only if the function has an "
            "attribute 'fingerprint', a text that no other teacher has"
        )
    return _DiskStore(Path(folder), fingerprint)


class _Identity:
    """A key that is equal to nothing but itself, and keeps its object alive."""

    def __init__(self, thing):
        self.thing = thing

    def __eq__(self, other):
        return isinstance(other, _Identity) and other.thing is self.thing

    def __hash__(self):
        return id(self.thing)


class _MemoryStore:
    """Outputs by digest, in this process."""

    trusted = True

    def __init__(self):
        self._outputs = {}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def transaction(self):
        return contextlib.nullcontext()

    def get(self, digests):
        return {digest: self._outputs[digest] for digest in digests if digest in self._outputs}

    def put(self, new):
        self._outputs.update(new)


class _DiskStore:
    """Outputs by digest in one SQLite file a teacher, which locks out other processes."""

    def __init__(self, folder, fingerprint):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"memory must be None or a folder to write to; got {folder}: {error}"
            ) from error
        name = hashlib.blake2b(fingerprint.encode(), digest_size=12).hexdigest()
        self.path = folder / f"skkd-teacher-{name}.sqlite"
        self._connection = None
        # Numbers of one version of the libraries may not be those of another.
        self._stamp = f"keras {keras.__version__} on {keras.backend.backend()}"

    def __enter__(self):
        try:
            with self._naming_itself():
                try:
                    self._open()
                except _DAMAGE as error:
                    self._rebuild(error)
        except BaseException:
            self.__exit__()
            raise
        return self

    @contextlib.contextmanager
    def _naming_itself(self):
        """Say of what SQLite cannot do with the file which one it is, and what helps."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OSError(
                f"memory: cannot use {self.path}: {error}. Make room there, or let it be written "
                "to; or set memory to another folder, or to None to keep outputs in this process"
            ) from error

    def _open(self):
        # Another process may hold the lock for as long as its teacher needs for one chunk.
        self._connection = sqlite3.connect(self.path, timeout=3600, isolation_level=None)
        self._connection.executescript(
            "CREATE TABLE IF NOT EXISTS outputs (digest BLOB PRIMARY KEY, logits BLOB, crc INT);"
            "CREATE TABLE IF NOT EXISTS stamp (only INT PRIMARY KEY, libraries TEXT);"
        )
        (fault,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if fault != "ok":
            raise sqlite3.DatabaseError(fault)
        self._connection.execute("INSERT OR IGNORE INTO stamp VALUES (0, ?)", (self._stamp,))
        (stamp,) = self._connection.execute("SELECT libraries FROM stamp").fetchone()
        self.trusted = stamp == self._stamp

    def _rebuild(self, error):
        # A full disk or a folder that cannot be written to damages nothing.
        if isinstance(error, sqlite3.OperationalError):
            raise error
        warn(f"the kept outputs in {self.path} are damaged ({error}); they are made anew")
        self._connection.close()
        self.path.unlink()
        self._open()

    def __exit__(self, *error):
        if self._connection is not None:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self):
        with self._naming_itself():
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._naming_itself():
                self._connection.execute("COMMIT")
        except BaseException:
            # Where the disk is full, SQLite has done so already.
            with contextlib.suppress(sqlite3.OperationalError):
                self._connection.execute("ROLLBACK")
            raise

    def _rebuild_in_transaction(self, error):
        # SQLite's own check when the file is opened does not find all that reading comes upon.
        self._rebuild(error)
        self._connection.execute("BEGIN IMMEDIATE")

    def get(self, digests):
        marks = ",".join("?" * len(digests))
        with self._naming_itself():
            try:
                found = self._connection.execute(
                    f"SELECT digest, logits, crc FROM outputs WHERE digest IN ({marks})", digests
                ).fetchall()
            except _DAMAGE as error:
                self._rebuild_in_transaction(error)
                return {}
        sound = {
            digest: np.frombuffer(logits, dtype=np.float32)
            for digest, logits, crc in found
            if _checksum(digest, logits) == crc
        }
        if len(sound) < len(found):
            warn(
                f"{len(found) - len(sound)} of the kept outputs in {self.path} are damaged; they "
                "are made anew"
            )
        return sound

    def put(self, new):
        rows = [
            (digest, (kept := logits.astype(np.float32).tobytes()), _checksum(digest, kept))
            for digest, logits in new.items()
        ]
        insert = "INSERT OR REPLACE INTO outputs VALUES (?, ?, ?)"
        with self._naming_itself():
            try:
                self._connection.executemany(insert, rows)
            except _DAMAGE as error:
                self._rebuild_in_transaction(error)
                self._connection.executemany(insert, rows)

    def trust(self):
        with self._naming_itself():
            self._connection.execute("UPDATE stamp SET libraries = ?", (self._stamp,))
        self.trusted = True

    def clear(self):
        with self._naming_itself():
            self._connection.execute("DELETE FROM outputs")
        self.trust()


def _checksum(digest, logits):
    """Return a number that tells logits of another image as well as damaged ones."""
    try:
        return zlib.crc32(digest + logits)
    except TypeError:
        # Damage can turn bytes into text or nothing, which equals no number kept.
        return math.nan
