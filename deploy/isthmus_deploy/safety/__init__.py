"""The one safety chain, whoever drives: supervisor, conditions, and the slow ways to stand-by and to rest."""
