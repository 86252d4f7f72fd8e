"""A library that makes every fsync of a process later, by as much as a shared file says.

It is compiled when it is needed and loaded before the C library. With a delay of zero a process
syncs as ever; the file also counts the syncs.
"""

import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static unsigned *shared; /* microseconds of delay; number of syncs */

__attribute__((constructor)) static void attach(void) {
    const char *name = getenv("SLOW_FSYNC_FILE");
    int fd = name ? open(name, O_RDWR) : -1;
    void *page = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) shared = page;
}

static int slowly(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = real(fd), error = errno;
    if (shared) {
        struct timespec left = {0, shared[0] * 1000L};
        __sync_fetch_and_add(&shared[1], 1);
        while (shared[0] && nanosleep(&left, &left) && errno == EINTR) {}
    }
    errno = error;
    return result;
}

int fsync(int fd) { return slowly("fsync", fd); }
int fdatasync(int fd) { return slowly("fdatasync", fd); }
"""


@dataclass(frozen=True, slots=True)
class SlowFsync:
    """The compiled library and its shared file."""

    library: Path
    shared: Path

    @property
    def environ(self) -> dict[str, str]:
        """What the environment of a process must say."""
        return {"LD_PRELOAD": str(self.library), "SLOW_FSYNC_FILE": str(self.shared)}

    @property
    def count(self) -> int:
        """The number of syncs so far."""
        return int(struct.unpack("II", self.shared.read_bytes())[1])

    @contextmanager
    def later_by(self, seconds: float) -> Iterator[None]:
        """Delay every sync while the block runs."""
        self._delay(round(seconds * 1e6))
        try:
            yield
        finally:
            self._delay(0)

    def _delay(self, microseconds: int) -> None:
        with self.shared.open("r+b") as file:
            file.write(struct.pack("I", microseconds))


def build(folder: Path) -> SlowFsync | None:
    """Compile the library; None where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    source, library, shared = (folder / f"slow_fsync{end}" for end in (".c", ".so", ".shared"))
    source.write_text(SOURCE)
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    shared.write_bytes(bytes(8))
    shared.chmod(0o666)  # the database server runs as another user when we are root
    return SlowFsync(library, shared)
