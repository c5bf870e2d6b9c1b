"""Several serving processes under one supervisor."""
