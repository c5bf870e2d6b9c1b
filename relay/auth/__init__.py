"""Users, credentials and origins: what a request may do. No module here knows a web framework."""
