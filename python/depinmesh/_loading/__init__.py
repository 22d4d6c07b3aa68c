"""Configuration from a file, the environment and keywords: read as layers, merged, converted, and accounted for.

`layers` merges, `environment` and `document` read, `text` turns text into values, `sources` makes registries and
bootstrap lists, `load` puts them together.
"""
