"""Whether data can be right: each check returns findings, which are printed or raised in one place.

``checks`` runs all. ``examine`` runs those of the fields: ``duplicates``, ``outliers``, ``forces``, ``charges``,
``dipoles``. What compares data, split and models with each other is in ``configured_units``, ``model``, ``parts`` and
``references``.
"""
