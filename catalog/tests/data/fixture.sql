-- fixture.pg as PostgreSQL would be told it, on two branches. scripts/dump_pg_catalog.sh loads it
-- and asks it the queries in expected/.
SET client_min_messages = warning;
DROP SCHEMA public;
CREATE SCHEMA main;
CREATE SCHEMA "review/1";
CREATE SCHEMA omnigraph;
CREATE FUNCTION omnigraph.ulid() RETURNS text LANGUAGE sql VOLATILE AS 'SELECT NULL::text';
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = main, omnigraph', current_database()); END $$;

CREATE TABLE main.person (
  id text PRIMARY KEY GENERATED ALWAYS AS (slug) STORED,
  slug text NOT NULL CONSTRAINT person_slug_key UNIQUE,
  name text NOT NULL, age integer, score double precision, active boolean,
  born date, created_at timestamp with time zone, tags text[]);
CREATE TABLE main.company (
  id text PRIMARY KEY GENERATED ALWAYS AS (slug) STORED,
  slug text NOT NULL CONSTRAINT company_slug_key UNIQUE, name text NOT NULL);
CREATE TABLE main.sample (
  id text PRIMARY KEY GENERATED ALWAYS AS (slug) STORED,
  slug text NOT NULL CONSTRAINT sample_slug_key UNIQUE,
  big bigint, ratio real, kind text CHECK (kind IN ('alpha', 'beta', 'gamma')),
  nums integer[], vals double precision[], note text);
CREATE TABLE main.task (
  id text PRIMARY KEY GENERATED ALWAYS AS (number::text) STORED,
  number integer NOT NULL CONSTRAINT task_number_key UNIQUE,
  title text NOT NULL CHECK (title ~ '^(?:[A-Z].*)$'),
  effort double precision CHECK (effort >= 0 AND effort <= 10.5),
  priority bigint DEFAULT 3 CHECK (priority >= -5),
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done')),
  due timestamp with time zone, amount numeric(20, 0), pages bigint, data bytea, shares real[],
  CONSTRAINT task_title_state_key UNIQUE (title, state));
CREATE INDEX task_state_idx ON main.task (state);
COMMENT ON TABLE main.task IS 'A thing to do';
COMMENT ON COLUMN main.task.title IS 'What has to be done';
CREATE TABLE main.event (
  id text PRIMARY KEY DEFAULT omnigraph.ulid(),
  at timestamp with time zone NOT NULL,
  day date NOT NULL DEFAULT '2026-01-31');
CREATE TABLE main.knows (
  id text PRIMARY KEY DEFAULT omnigraph.ulid(),
  src text NOT NULL CONSTRAINT knows_src_fkey REFERENCES main.person (id) ON DELETE CASCADE,
  dst text NOT NULL CONSTRAINT knows_dst_fkey REFERENCES main.person (id) ON DELETE CASCADE,
  since date);
CREATE TABLE main.works_at (
  id text PRIMARY KEY DEFAULT omnigraph.ulid(),
  src text NOT NULL CONSTRAINT works_at_src_fkey REFERENCES main.person (id) ON DELETE CASCADE,
  dst text NOT NULL CONSTRAINT works_at_dst_fkey REFERENCES main.company (id) ON DELETE CASCADE,
  role text);
CREATE TABLE main.assigned (
  id text PRIMARY KEY DEFAULT omnigraph.ulid(),
  src text NOT NULL CONSTRAINT assigned_src_fkey REFERENCES main.task (id) ON DELETE CASCADE,
  dst text NOT NULL CONSTRAINT assigned_dst_fkey REFERENCES main.person (id) ON DELETE CASCADE,
  share real,
  CONSTRAINT assigned_src_dst_key UNIQUE (src, dst));
COMMENT ON TABLE main.assigned IS 'Who does it';

CREATE TABLE "review/1".person (
  id text PRIMARY KEY GENERATED ALWAYS AS (slug) STORED,
  slug text NOT NULL CONSTRAINT person_slug_key UNIQUE,
  name text NOT NULL, age integer, score double precision, active boolean,
  born date, created_at timestamp with time zone, tags text[]);
CREATE TABLE "review/1".company (
  id text PRIMARY KEY GENERATED ALWAYS AS (slug) STORED,
  slug text NOT NULL CONSTRAINT company_slug_key UNIQUE, name text NOT NULL);
CREATE TABLE "review/1".sample (
  id text PRIMARY KEY GENERATED ALWAYS AS (slug) STORED,
  slug text NOT NULL CONSTRAINT sample_slug_key UNIQUE,
  big bigint, ratio real, kind text CHECK (kind IN ('alpha', 'beta', 'gamma')),
  nums integer[], vals double precision[], note text);
CREATE TABLE "review/1".task (
  id text PRIMARY KEY GENERATED ALWAYS AS (number::text) STORED,
  number integer NOT NULL CONSTRAINT task_number_key UNIQUE,
  title text NOT NULL CHECK (title ~ '^(?:[A-Z].*)$'),
  effort double precision CHECK (effort >= 0 AND effort <= 10.5),
  priority bigint DEFAULT 3 CHECK (priority >= -5),
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done')),
  due timestamp with time zone, amount numeric(20, 0), pages bigint, data bytea, shares real[],
  CONSTRAINT task_title_state_key UNIQUE (title, state));
CREATE INDEX task_state_idx ON "review/1".task (state);
COMMENT ON TABLE "review/1".task IS 'A thing to do';
COMMENT ON COLUMN "review/1".task.title IS 'What has to be done';
CREATE TABLE "review/1".event (
  id text PRIMARY KEY DEFAULT omnigraph.ulid(),
  at timestamp with time zone NOT NULL,
  day date NOT NULL DEFAULT '2026-01-31');
CREATE TABLE "review/1".knows (
  id text PRIMARY KEY DEFAULT omnigraph.ulid(),
  src text NOT NULL CONSTRAINT knows_src_fkey REFERENCES "review/1".person (id) ON DELETE CASCADE,
  dst text NOT NULL CONSTRAINT knows_dst_fkey REFERENCES "review/1".person (id) ON DELETE CASCADE,
  since date);
CREATE TABLE "review/1".works_at (
  id text PRIMARY KEY DEFAULT omnigraph.ulid(),
  src text NOT NULL CONSTRAINT works_at_src_fkey REFERENCES "review/1".person (id) ON DELETE CASCADE,
  dst text NOT NULL CONSTRAINT works_at_dst_fkey REFERENCES "review/1".company (id) ON DELETE CASCADE,
  role text);
CREATE TABLE "review/1".assigned (
  id text PRIMARY KEY DEFAULT omnigraph.ulid(),
  src text NOT NULL CONSTRAINT assigned_src_fkey REFERENCES "review/1".task (id) ON DELETE CASCADE,
  dst text NOT NULL CONSTRAINT assigned_dst_fkey REFERENCES "review/1".person (id) ON DELETE CASCADE,
  share real,
  CONSTRAINT assigned_src_dst_key UNIQUE (src, dst));
COMMENT ON TABLE "review/1".assigned IS 'Who does it';
