#!/bin/bash
# The two databases of docker-compose.yaml with a role each: run by the image at its first start, and
# again by hand after a password was changed in .env. Passwords come from the environment and stand in
# no argument, no log and no history.
set -euo pipefail

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username postgres --dbname postgres <<'SQL'
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
\getenv airflow_password AIRFLOW_DB_PASSWORD
SELECT 'CREATE ROLE airflow LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'airflow') \gexec
ALTER ROLE airflow PASSWORD :'airflow_password';
SELECT 'CREATE DATABASE airflow OWNER airflow' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'airflow') \gexec
SELECT 'CREATE DATABASE backpack' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'backpack') \gexec
REVOKE ALL ON DATABASE airflow, backpack, postgres FROM PUBLIC;
SQL

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username postgres --dbname backpack --file /etc/backpack/roles.sql

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username postgres --dbname postgres <<'SQL'
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
\getenv owner_password JOURNAL_OWNER_PASSWORD
\getenv writer_password JOURNAL_PASSWORD
ALTER ROLE backpack_journal_owner PASSWORD :'owner_password';
ALTER ROLE backpack_journal PASSWORD :'writer_password';
GRANT CONNECT ON DATABASE backpack TO backpack_journal_owner, backpack_journal;
SQL
