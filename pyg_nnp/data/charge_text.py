"""Total charges that a text says: numbers, and molecules in SMILES."""

import re

# atoms, bonds, branches, rings; the charge in a bracket stands before the number of the atom, if there is one
_SMILES = re.compile(r"(\[[^\[\]]+\]|Br|Cl|[BCNOPSFI]|[bcnops]|[-=#$:/\\.()]|%\d\d|\d)+")
_FORMAL_CHARGE = re.compile(r"\[[^\[\]]*?(\++|-+)(\d*)(?::\d+)?\]")


def charge_in_text(text: str) -> float | None:
    """Return the total charge that a text says: a number, or a molecule in SMILES, whose formal charges are added."""
    try:
        return float(text)
    except ValueError:
        if not _SMILES.fullmatch(text):
            return None
    signs = _FORMAL_CHARGE.findall(text)
    return float(sum((-1 if "-" in sign else 1) * int(size or len(sign)) for sign, size in signs))
