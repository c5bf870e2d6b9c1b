-- Makes the role and the database of Relay, when Postgres starts on an empty volume: see compose.yaml.
-- The role is no superuser. The superuser `postgres` has no password then: it can log in by the
-- socket in the container alone, as `docker compose exec postgres psql -U postgres` does.
\getenv password POSTGRES_PASSWORD
CREATE ROLE relay LOGIN PASSWORD :'password';
CREATE DATABASE relay OWNER relay;
ALTER ROLE postgres PASSWORD NULL;
