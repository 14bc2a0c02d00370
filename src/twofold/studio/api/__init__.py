"""REST under /api/v1: all that the pages do, for scripts. A file a wish, each with its `routes`."""
