"""Protection of documents: an example of plugins in a package of their own."""
