"""Acme's cloud, a scorer and a data set for bench."""
