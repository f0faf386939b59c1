"""Whether data can be right: each check returns findings, which are printed or raised in one place.

``all_checks`` runs all. ``field_checks`` runs those of the fields: ``duplicates``, ``outliers``, ``digits``,
``forces``, ``charges``. What compares the configuration with the data file is in ``config_against_file``, models with
data in ``model`` and ``prediction``. ``first_config`` writes a configuration to begin with, by ``survey`` and
``guesses``.
"""
