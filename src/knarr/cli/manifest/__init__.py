"""Commands of manifests on registries."""
