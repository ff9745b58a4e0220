-- Roles of the journal on PostgreSQL. Run once, as a superuser, in the journal's database:
--
--     psql --dbname backpack --file deploy/postgres/roles.sql
--
-- The owner makes the tables and is used by nobody else; every process of the migration logs in as
-- the writer, which reads and appends. Give both a password, or a certificate, in your own way.
-- Then, as the owner: backpack-migrate journal init --url-file OWNER_URL --writer backpack_journal

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'backpack_journal_owner') THEN
        CREATE ROLE backpack_journal_owner LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'backpack_journal') THEN
        CREATE ROLE backpack_journal LOGIN;
    END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS backpack AUTHORIZATION backpack_journal_owner;
GRANT USAGE ON SCHEMA backpack TO backpack_journal;

ALTER ROLE backpack_journal_owner SET search_path = backpack;
ALTER ROLE backpack_journal SET search_path = backpack;

-- What `journal init --writer` does once the tables are there. The triggers that refuse UPDATE,
-- DELETE and TRUNCATE to the owner too come with the tables.
ALTER DEFAULT PRIVILEGES FOR ROLE backpack_journal_owner IN SCHEMA backpack
    GRANT SELECT, INSERT ON TABLES TO backpack_journal;
