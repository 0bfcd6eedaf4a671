"""Layers as EROFS images that hold the tar itself.

One file is one layer::

    0      knarr's own header (32 bytes of name, see header.py), then zeros
    1024   EROFS superblock
    4096   the tar, byte for byte
    ...    zeros to a block of 512, then data that cannot be used where they lie in the tar
    ...    zeros to 4096, then inodes, then directory blocks       (the metadata area)
    ...    the paths of implied directories, then zeros to 4096

The data of a file in a tar begin at a multiple of 512, so with blocks of 512 bytes an inode can
point straight at them. Blocks that small need Linux 6.4.

Law: the same tar gives the same image, byte for byte: the UUID comes from the digest of the tar,
and nothing else that changes (time, order of a directory, machine) is written.

Sources: kernel filesystems/erofs.rst and fs/erofs/erofs_fs.h; erofs.docs.kernel.org "Core on-disk
format", "Chunk-based inodes".
"""
