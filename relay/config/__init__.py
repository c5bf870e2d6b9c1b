"""Configuration: settings and their parsers, Hypercorn's file, and packaged files."""
