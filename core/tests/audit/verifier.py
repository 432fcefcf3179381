#!/usr/bin/env python3
"""Verifies an export of a project's log without the code of the platform: Python's standard library is all it needs.

    verifier.py EXPORT CHECKPOINT KEY [--proof FILE]... [--old CHECKPOINT --consistency FILE]

EXPORT       the commits as JSON Lines (`streamio events export --format commits`), in the order of the feed; commits of other projects
             are skipped
CHECKPOINT   a signed checkpoint (C2SP tlog-checkpoint); the export may have more commits than it states
KEY          the verifier key of the log: <name>+<id>+<base64>
--proof      a proof that one commit is in the log (C2SP tlog-proof@v1)
--old        an older signed checkpoint, which must be of the beginning of the same log
--consistency  the proof of that, as witnesses get it (C2SP tlog-witness, add-checkpoint)

Prints what was verified. At the first thing that is wrong it ends with 1 and a message that names it.
"""

import argparse
import base64
import hashlib
import json
import math


class Refused(Exception):
    """Something is wrong with the input."""


def check(condition, message):
    if not condition:
        raise Refused(message)


# Canonical JSON (RFC 8785).


def canonical(value):
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(canonical(name) + ":" + canonical(value[name]) for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float):
        return canonical_number(value)
    return json.dumps(value, ensure_ascii=False)


def canonical_number(value):
    """Writes a number as ECMAScript does. Python finds the same shortest digits, but places the point differently."""
    check(math.isfinite(value), "a number is not finite")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


# Commits and their chains.


def commit_hash(commit):
    rest = {name: value for name, value in commit.items() if name not in ("hash", "prevHash")}
    return hashlib.sha256(bytes.fromhex(commit["prevHash"]) + canonical(rest).encode()).digest()


def leaves(lines, project):
    """Returns the hashes of the leaves of the project's commits. Each commit must follow on the one before it in its stream."""
    heads, hashes = {}, []
    for number, line in enumerate(lines, 1):
        commit = json.loads(line)
        check("hash" in commit, f"line {number} is not a commit with its hashes: export with --format commits")
        stream = commit["stream"]
        if stream.split("/")[1] != project:
            continue
        version, before = heads.get(stream, (0, "00" * 32))
        check(commit["first"] == version + 1, f"line {number}: {stream} has a gap after version {version}")
        check(commit["prevHash"] == before, f"line {number}: the commit does not follow on the one before it in {stream}")
        computed = commit_hash(commit)
        check(commit["hash"] == computed.hex(), f"line {number}: the commit was changed")
        heads[stream] = (version + len(commit["events"]), commit["hash"])
        hashes.append(hashlib.sha256(b"\0" + computed).digest())
    return hashes


# Merkle trees (RFC 6962).


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(hashes):
    if not hashes:
        return hashlib.sha256().digest()
    while len(hashes) > 1:
        pairs = [node(left, right) for left, right in zip(hashes[::2], hashes[1::2])]
        hashes = pairs + hashes[len(hashes) & ~1:]
    return hashes[0]


def split(size):
    """The largest power of two smaller than the size."""
    return 1 << ((size - 1).bit_length() - 1)


def root_from_inclusion(leaf, index, size, path):
    if size == 1:
        check(not path, "the inclusion proof has too many hashes")
        return leaf
    check(path, "the inclusion proof has too few hashes")
    middle, *rest, last = [split(size), *path]
    if index < middle:
        return node(root_from_inclusion(leaf, index, middle, rest), last)
    return node(last, root_from_inclusion(leaf, index - middle, size - middle, rest))


def roots_from_consistency(old, new, path, old_root):
    """The roots of the old and the new tree; `old_root` is known if the old tree is a whole subtree from the first leaf on."""
    if old == new:
        if old_root is not None:
            check(not path, "the consistency proof has too many hashes")
            return old_root, old_root
        check(len(path) == 1, "the consistency proof has a wrong number of hashes")
        return path[0], path[0]
    check(path, "the consistency proof has too few hashes")
    middle, *rest, last = [split(new), *path]
    if old <= middle:
        first, second = roots_from_consistency(old, middle, rest, old_root)
        return first, node(second, last)
    first, second = roots_from_consistency(old - middle, new - middle, rest, None)
    return node(last, first), node(last, second)


# Ed25519 (RFC 8032), verification only.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(p, q):
    """Adds points in extended coordinates."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def decompress(data):
    number = int.from_bytes(data, "little")
    y, is_odd = number & (2**255 - 1), number >> 255
    check(y < P, "a point is not reduced")
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    check(x * x % P == square and (x or not is_odd), "a point is not on the curve")
    if x & 1 != is_odd:
        x = P - x
    return x, y, 1, x * y % P


BASE = decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def is_signature(key, text, signature):
    if len(signature) != 64:
        return False
    point, commitment, scalar = decompress(key), decompress(signature[:32]), int.from_bytes(signature[32:], "little")
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % L
    left, right = multiply(scalar, BASE), add(commitment, multiply(challenge, point))
    is_same = (left[0] * right[2] - right[0] * left[2]) % P == 0 == (left[1] * right[2] - right[1] * left[2]) % P
    return scalar < L and is_same


# Signed notes, checkpoints and proofs (C2SP).


def decode(text):
    data = base64.b64decode(text, validate=True)
    check(base64.b64encode(data).decode() == text, "base64 is not written in its one form")
    return data


def decimal(text):
    check(text.isascii() and text.isdigit() and str(int(text)) == text, f"{text!r} is not a decimal number")
    return int(text)


def hash_of(text):
    data = decode(text)
    check(len(data) == 32, "a hash does not have 32 bytes")
    return data


def read_key(text):
    name, key_id, key = text.strip().split("+", 2)
    key = decode(key)
    check(len(key) == 33 and key[0] == 1, "the verifier key is not an Ed25519 key")
    expected = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    check(key_id == expected.hex(), "the id of the verifier key does not match its name and key")
    return name, expected, key[1:]


def read_checkpoint(note, key):
    """Returns the size and the root of a checkpoint that is signed with the key."""
    name, key_id, public = key
    text, separator, signatures = note.rpartition("\n\n")
    check(separator and signatures.endswith("\n"), "the checkpoint is not a signed note")
    text, is_signed = text + "\n", False
    for line in signatures.removesuffix("\n").split("\n"):
        dash, signer, signature = line.split(" ")
        check(dash == "\N{EM DASH}", "a signature line does not begin with an em dash")
        signature = decode(signature)
        if (signer, signature[:4]) == (name, key_id):
            check(is_signature(public, text.encode(), signature[4:]), "the signature of the checkpoint is wrong")
            is_signed = True
    check(is_signed, "the checkpoint is not signed with the key")
    origin, size, root = text.split("\n")[:3]
    check(origin == name, "the checkpoint is of another log")
    return decimal(size), hash_of(root)


def check_inclusion(proof, key, hashes):
    header, _, note = proof.partition("\n\n")
    lines = header.split("\n")
    check(lines.pop(0) == "c2sp.org/tlog-proof@v1", "the proof is not a tlog-proof@v1")
    if lines[0].startswith("extra "):
        decode(lines.pop(0).removeprefix("extra "))
    word, index = lines.pop(0).split(" ")
    check(word == "index", "the proof has no index")
    index, (size, root) = decimal(index), read_checkpoint(note, key)
    check(index < size and index < len(hashes), f"there is no commit {index}")
    found = root_from_inclusion(hashes[index], index, size, [hash_of(line) for line in lines])
    check(found == root, f"commit {index} is not in the tree of the proof's checkpoint")
    check(root_of(hashes[:size]) == root, "the proof's checkpoint is of another log than the export")
    return index


def check_consistency(proof, key, old):
    header, _, note = proof.partition("\n\n")
    first, *path = header.split("\n")
    size, (new_size, new_root) = decimal(first.removeprefix("old ")), read_checkpoint(note, key)
    check(first == f"old {old[0]}" and size <= new_size, "the consistency proof is from another size")
    roots = roots_from_consistency(size, new_size, [hash_of(line) for line in path], old[1])
    check(roots == (old[1], new_root), "the checkpoints are not consistent")


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("export")
    parser.add_argument("checkpoint")
    parser.add_argument("key")
    parser.add_argument("--proof", action="append", default=[])
    parser.add_argument("--old")
    parser.add_argument("--consistency")
    arguments = parser.parse_args()
    try:
        key = read_key(arguments.key)
        size, root = read_checkpoint(read(arguments.checkpoint), key)
        with open(arguments.export, encoding="utf-8", newline="\n") as lines:
            hashes = leaves(lines, key[0].rpartition("/")[2])
        check(len(hashes) >= size, f"the checkpoint is of {size} commits, but the export has {len(hashes)}")
        check(root_of(hashes[:size]) == root, "the commits do not have the root of the checkpoint")
        print(f"{size} commits")
        for path in arguments.proof:
            print(f"commit {check_inclusion(read(path), key, hashes)} is in the log")
        if arguments.old:
            old = read_checkpoint(read(arguments.old), key)
            check(root_of(hashes[:old[0]]) == old[1], "the old checkpoint is of another log than the export")
            check_consistency(read(arguments.consistency), key, old)
            print(f"{old[0]} commits are the beginning of the log")
    except (Refused, ValueError, KeyError, IndexError, TypeError) as error:
        raise SystemExit(f"refused: {error}") from None


if __name__ == "__main__":
    main()
