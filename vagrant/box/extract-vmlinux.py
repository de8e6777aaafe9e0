#!/usr/bin/env python3
"""Takes the uncompressed kernel out of a bzImage: it boots in seconds under emulation.

    extract-vmlinux.py BZIMAGE VMLINUX
"""

import subprocess
import sys

COMPRESSIONS = [
    (b"\x28\xb5\x2f\xfd", ["zstd", "-dc"]),
    (b"\xfd7zXZ\0", ["xz", "-dc", "--single-stream"]),
]


def main() -> None:
    image_path, out_path = sys.argv[1:]
    with open(image_path, "rb") as file:
        image = file.read()
    for magic, program in COMPRESSIONS:
        start = image.find(magic)
        if start < 0:
            continue
        # What follows the kernel in the image is no error.
        unpacked = subprocess.run(
            program, input=image[start:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
        ).stdout
        if unpacked.startswith(b"\x7fELF"):
            with open(out_path, "wb") as file:
                file.write(unpacked)
            return
    sys.exit(f"{image_path}: no kernel found in it that is compressed with zstd or xz")


if __name__ == "__main__":
    main()
