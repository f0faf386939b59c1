"""Whether data can be right: each check returns findings, which are printed or raised in one place.

``checks`` runs all. ``examine`` runs those of the fields: ``duplicates``, ``outliers``, ``forces``, ``charges``. What
compares data and models is in ``model``. ``first_config`` writes a configuration to begin with, by ``survey`` and
``guesses``.
"""
