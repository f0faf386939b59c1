"""Constants: CODATA 2022, as published by NIST."""

BOHR_IN_ANGSTROM = 0.529177210544
