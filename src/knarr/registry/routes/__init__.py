"""The requests of the distribution specification, one module for each noun of its paths."""
