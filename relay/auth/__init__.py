"""Users, credentials and origins: what a request may do. Independent of web frameworks."""
