"""What the tests share: probes of the machine, leak checks, a running engine, real images."""
