"""Readers of data files: names, shapes, units of others in, blocks of standard fields out.

Whatever is wrong with a file raises a DataError, which names the file, the frame or group, and the field.
"""
