"""The lineage zoo: tiny, really trained language models whose ancestry is known."""
