"""The documents and names of the Open Container Initiative.

Scope: reference, digest, descriptor, manifest, index, image config, runtime spec: values and their
grammar, no I/O. A document that is content-addressed keeps its raw bytes beside the parsed view,
because decoding and encoding it again changes its digest.
"""
