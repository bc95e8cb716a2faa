"""Reading a system call trace: what was written under a folder and not yet synced.

A file is dirty from a write until an fsync of it, a folder from a new name in it until an
fsync of the folder. Moments that matter (a log entry linked, an answer sent) are looked at
when their call begins; everything else counts when it has ended.
"""

import collections
import os
import re

CALLS = ("openat,open,creat,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,fsync,fdatasync,syncfs,sync,"
         "rename,renameat,renameat2,link,linkat,mkdir,mkdirat,ftruncate,fallocate,copy_file_range,sendfile")
# A name that object_store gives a file while it is being written.
STAGING = re.compile(r"#\d+$")


def command(output, text=300):
    """strace with what `Trace` reads: paths of descriptors, enough of each text."""
    return ["strace", "-f", "-y", "-qq", "-s", str(text), "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(output)]


class Trace:
    """`on_call(name, text, trace)` is asked at the beginning of each call."""

    def __init__(self, root, on_call):
        self.root, self.on_call = os.path.realpath(root), on_call
        self.dirty, self.folders = set(), collections.defaultdict(set)
        # What was made under the folder, but for names of files in the making.
        self.names = set()
        self.syncs = 0

    def unsynced(self):
        """What power loss could take now."""
        files = sorted(self.dirty)
        names = sorted(f"{folder}/ (for {name})" for folder, held in self.folders.items() for name in held)
        return [path.replace(self.root, "") for path in files + names]

    def durable(self):
        """Of the names that were made, those that power loss leaves, with what is in them."""
        held = {}

        def is_held(name):
            if name not in held:
                folder = os.path.dirname(name)
                held[name] = name not in self.dirty and os.path.basename(name) not in self.folders.get(folder, ()) and (folder not in self.names or is_held(folder))
            return held[name]

        return {name for name in self.names if is_held(name)}

    def read(self, path):
        begun = {}
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                found = re.match(r"(\d+)\s+(.*)", line)
                if not found:
                    continue
                process, text = found.groups()
                resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", text)
                if resumed:
                    self.ended(begun.pop(process, "") + resumed.group(1))
                elif text.endswith("<unfinished ...>"):
                    begun[process] = text.removesuffix("<unfinished ...>").rstrip()
                    self.on_call(begun[process].partition("(")[0], begun[process], self)
                else:
                    self.on_call(text.partition("(")[0], text, self)
                    self.ended(text)

    def ended(self, text):
        name = text.partition("(")[0]
        if re.search(r"\) += -1 ", text):
            return
        descriptor = re.match(r"\w+\(\d+<([^>]*)>", text)
        path = descriptor.group(1) if descriptor else None
        if name in ("fsync", "fdatasync"):
            self.syncs += 1
            self.dirty.discard(path)
            if name == "fsync":
                self.folders.pop(path, None)
        elif name in ("sync", "syncfs"):
            self.syncs += 1
            self.dirty.clear()
            self.folders.clear()
        elif name in ("open", "openat", "creat"):
            opened = re.search(r"= \d+<([^>]*)>", text)
            if opened and "O_CREAT" in text:
                self.named(opened.group(1))
        elif name in ("mkdir", "mkdirat"):
            for made in paths(text):
                self.named(made)
        elif name.startswith(("rename", "link")):
            self.moved(name, paths(text))
        elif path and self.mine(path):
            self.dirty.add(path)

    def moved(self, name, both):
        if len(both) != 2:
            return
        source, target = both
        if source in self.dirty:
            self.dirty.add(target)
        if name.startswith("rename"):
            self.dirty.discard(source)
            self.folders[os.path.dirname(source)].discard(os.path.basename(source))
        self.named(target)

    def named(self, path):
        """A new name in a folder. Names of files in the making are nobody's loss."""
        if self.mine(path) and not STAGING.search(path):
            self.names.add(path)
            self.folders[os.path.dirname(path)].add(os.path.basename(path))

    def mine(self, path):
        return path.startswith(self.root + "/") and not path.endswith(".log")


def paths(text):
    """The paths among a call's arguments, made absolute by the folder they are relative to."""
    found = []
    for folder, path in re.findall(r"(?:(?:AT_FDCWD|\d+)(?:<([^>]*)>)?, )?\"([^\"]*)\"", text):
        found.append(os.path.normpath(path if path.startswith("/") else os.path.join(folder or os.getcwd(), path)))
    return found
