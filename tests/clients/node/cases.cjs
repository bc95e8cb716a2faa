// node-postgres against the server under test. Prints one JSON line for each case.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const pg = require(path.join(process.env.TEST_NODE_MODULES, 'pg'));

const settings = JSON.parse(process.env.TEST_SERVER);
const fixture = fs.readFileSync(process.env.TEST_FIXTURE, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
const people = fixture.filter((row) => row.type === 'Person').map((row) => row.data);
const configuration = (more = {}) => ({
  host: settings.host, port: settings.port, user: settings.user, password: settings.password,
  database: 'knowledge', connectionTimeoutMillis: 20000, ...more,
});
const unique = () => 'zz-' + Math.random().toString(36).slice(2, 12);

async function using(more, action) {
  const client = new pg.Client(configuration(more));
  client.on('error', () => {});
  await client.connect();
  try { return await action(client); } finally { await client.end(); }
}

async function fails(promise, code) {
  try { await promise; } catch (error) { assert.equal(error.code, code, String(error)); return error; }
  throw new assert.AssertionError({ message: `no error, want ${code}` });
}

const cases = {
  async reads_types() {
    await using({}, async (client) => {
      const result = await client.query('select slug, name, age, score, active, born::text as born, created_at, tags from person order by slug');
      assert.deepEqual(result.fields.map((field) => field.dataTypeID), [25, 25, 23, 701, 16, 25, 1184, 1009]);
      assert.equal(result.command, 'SELECT');
      assert.equal(result.rowCount, people.length);
      const want = [...people].sort((a, b) => (a.slug < b.slug ? -1 : 1));
      for (const [i, row] of result.rows.entries()) {
        const p = want[i];
        assert.deepEqual(
          [row.slug, row.name, row.age, row.score, row.active, row.born, row.created_at && row.created_at.getTime(), row.tags],
          [p.slug, p.name, p.age ?? null, p.score ?? null, p.active ?? null, p.born ?? null, p.created_at ? Date.parse(p.created_at) : null, p.tags ?? null], p.slug);
      }
    });
  },
  async sends_parameters() {
    await using({ database: 'scratch' }, async (client) => {
      const slug = unique(), moment = new Date('2023-01-02T03:04:05.678Z'), tags = ['a,b', 'c"d', null, ''];
      await client.query('begin');
      const { rows } = await client.query(
        'insert into person (id, slug, name, age, score, active, born, created_at, tags) values ($1,$2,$3,$4,$5,$6,$7,$8,$9) returning *',
        [slug, slug, 'q\'"\\é😀', 5, 1.5, false, '2000-02-29', moment, tags]);
      assert.deepEqual([rows[0].name, rows[0].age, rows[0].score, rows[0].active, rows[0].tags], ['q\'"\\é😀', 5, 1.5, false, tags]);
      assert.equal(rows[0].created_at.getTime(), moment.getTime());
      assert.equal((await client.query('select count(*) from person where slug = any($1)', [[slug, 'ada']])).rows[0].count, '2');
      await client.query('rollback');
      assert.equal((await client.query('select count(*)::int as n from person where slug = $1', [slug])).rows[0].n, 0);
    });
  },
  async keeps_named_statements_and_reads_binary() {
    await using({}, async (client) => {
      for (const slug of ['ada', 'alan', 'ada']) {
        const { rows } = await client.query({ name: 'by-slug', text: 'select age from person where slug = $1', values: [slug] });
        assert.equal(rows[0].age, people.find((p) => p.slug === slug).age);
      }
      const { rows } = await client.query({ text: 'select age, score, active, name from person where slug = $1', values: ['ada'], binary: true });
      assert.deepEqual([rows[0].age, rows[0].score, rows[0].active, String(rows[0].name)], [36, 2.5, true, 'Ada Lovelace']);
    });
  },
  async answers_several_statements_in_one_message() {
    await using({}, async (client) => {
      const results = await client.query("select 1 as a; select 'x' as b");
      assert.deepEqual(results.map((result) => result.rows[0]), [{ a: 1 }, { b: 'x' }]);
      assert.deepEqual((await client.query({ text: 'select 1, 2', rowMode: 'array' })).rows, [[1, 2]]);
      assert.deepEqual((await client.query('')).rows, []);
    });
  },
  async tells_errors_apart() {
    await using({ database: 'scratch' }, async (client) => {
      await client.query('begin');
      const error = await fails(client.query("insert into person (id, slug, name) values ('ada', 'ada', 'x')"), '23505');
      assert.deepEqual([error.table, error.severity, error.schema], ['person', 'ERROR', 'main']);
      assert.ok(error.constraint && error.detail);
      await fails(client.query('select 1'), '25P02');
      await client.query('rollback');
      await fails(client.query('select $1::int', ['x']), '22P02');
      assert.equal((await fails(client.query('select nope from person'), '42703')).position, '8');
      await fails(client.query('selec 1'), '42601');
      assert.equal((await client.query('select 1 as a')).rows[0].a, 1);
    });
  },
  async commits_and_rolls_back() {
    const slug = unique();
    await using({ database: 'scratch' }, async (client) => {
      await client.query('begin');
      assert.equal((await client.query('insert into company (id, slug, name) values ($1, $1, $2)', [slug, 'n'])).rowCount, 1);
      await client.query('commit');
      assert.equal((await client.query('update company set name = $2 where slug = $1', [slug, 'm'])).rowCount, 1);
      assert.equal((await client.query('delete from company where slug = $1 returning name', [slug])).rows[0].name, 'm');
    });
  },
  async shares_a_pool() {
    const pool = new pg.Pool(configuration({ max: 5 }));
    try {
      const results = await Promise.all([...Array(40).keys()].map((i) => pool.query('select $1::int as i', [i])));
      assert.deepEqual(results.map((result) => result.rows[0].i), [...Array(40).keys()]);
    } finally { await pool.end(); }
  },
  async obeys_startup_options_and_sends_notices() {
    await using({ options: `-c search_path="${settings.branch}"`, application_name: 'tests', statement_timeout: 5000 }, async (client) => {
      assert.equal((await client.query("select age from person where slug = 'ada'")).rows[0].age, 99);
      assert.equal((await client.query('show statement_timeout')).rows[0].statement_timeout, '5s');
      let notice = null;
      client.on('notice', (message) => { notice = message; });
      await client.query('commit');
      assert.equal(notice && notice.code, '25P01');
    });
  },
  async connects_over_tls() {
    if (!settings.ca) return;
    await using({ host: 'localhost', ssl: { ca: fs.readFileSync(settings.ca, 'utf8') } }, async (client) => {
      assert.equal((await client.query('select 1 as a')).rows[0].a, 1);
    });
    await assert.rejects(using({ host: 'localhost', ssl: { ca: fs.readFileSync(settings.wrong_ca, 'utf8') } }, async () => {}), /certificate/);
  },
  async calls_stored_queries() {
    if (!settings.cluster_port) return;
    await using({ port: settings.cluster_port, user: 'act-yuki', password: 'act-yuki', database: 'company' }, async (client) => {
      const found = await client.query('select * from find_person(name => $1)', ['an']);
      const want = await client.query('select slug as "p.slug", name as "p.name", title as "p.title", email as "p.email" from person where name like \'%an%\' order by name, slug limit 20');
      assert.deepEqual(found.rows, want.rows);
      assert.ok(found.rows.length > 0);
      const named = { name: 'doors', text: 'select decision, confidence from one_way_doors($1)', values: [0.9] };
      assert.deepEqual((await client.query(named)).rows, (await client.query(named)).rows);
      await client.query('create schema draft_node');
      await client.query('set search_path to draft_node');
      const called = await client.query('call record_signal($1, $2, $3, $4, $5, $6)', ['sig-node', 'idea', 'node', 'Called', 1, new Date(0)]);
      assert.deepEqual([called.command, called.rows[0].affected_nodes], ['CALL', '1']);
      await client.query('set search_path to main');
      await fails(client.query('call forget_signal($1)', ['sig-node']), '42501');
      await client.query('drop schema draft_node cascade');
    });
  },
  async refuses_a_wrong_password() {
    await fails(using({ password: 'wrong' }, async () => {}), '28P01');
    await fails(using({ database: 'no_such_graph' }, async () => {}), '3D000');
  },
};

(async () => {
  for (const [name, run] of Object.entries(cases)) {
    const started = Date.now();
    let detail = null;
    try { await run(); } catch (error) { detail = String((error && error.stack) || error).split('\n').slice(0, 12).join('\n'); }
    console.log(JSON.stringify({ name, detail, seconds: (Date.now() - started) / 1000 }));
  }
  process.exit(0);
})();
