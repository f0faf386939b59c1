"""Readers of data files: names, shapes, units of others in, blocks of standard fields out."""
