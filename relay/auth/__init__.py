"""Users, credentials and origins: who may do what. No module here knows a web framework."""
