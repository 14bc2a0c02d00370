"""Pages for all that the library can do: learn, watch it happen, use it. A face, as the command line is."""
