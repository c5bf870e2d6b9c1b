"""Users, credentials and origins: the permissions behind each request. No module here knows a web framework."""
