"""Values of settings that are secrets."""

SECRET = "0123456789abcdef" * 2  # 32 bytes: the least that is allowed
POSTGRES = "postgresql://relay:hidden-password@db.example/relay"
