//! Questions like those of the LDBC social network benchmark's interactive workload, over a
//! generated network: as patterns, and as joins of the same tables, which have to agree.

use std::fmt::Write;

use bytes::Bytes;
use futures::SinkExt;
use omnigraph_tests::{Server, one, rows, run};
use tokio_postgres::Client;

const SCHEMA: &str = "
node Person { name: String @key  first: String  joined: I32 }
node City { name: String @key  country: String }
node Tag { name: String @key }
node Forum { name: String @key }
node Post { name: String @key  created: I32  length: I32 }
node Comment { name: String @key  created: I32 }
edge Knows: Person -> Person { since: I32 }
edge LivesIn: Person -> City
edge Interested: Person -> Tag
edge Member: Forum -> Person { since: I32 }
edge Holds: Forum -> Post
edge Wrote: Person -> Post
edge Replied: Person -> Comment
edge ReplyOf: Comment -> Post
edge Likes: Person -> Post { liked: I32 }
edge HasTag: Post -> Tag
";

const PEOPLE: usize = 50;
const POSTS: usize = 120;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }

    /// Small numbers more often than large ones: few people know many.
    fn popular(&mut self, bound: usize) -> usize {
        self.below(bound)
            .min(self.below(bound))
            .min(self.below(bound))
    }
}

#[derive(Default)]
struct Network {
    lines: String,
}

impl Network {
    fn node(&mut self, of: &str, name: String, more: String) {
        writeln!(
            self.lines,
            r#"{{"type":"{of}","data":{{"name":"{name}"{more}}}}}"#
        )
        .unwrap();
    }

    fn edge(&mut self, of: &str, from: String, to: String, data: &str) {
        writeln!(
            self.lines,
            r#"{{"edge":"{of}","from":"{from}","to":"{to}","data":{{{data}}}}}"#
        )
        .unwrap();
    }
}

fn network() -> String {
    let mut dice = Dice(11);
    let mut all = Network::default();
    let firsts = ["Ada", "Bo", "Cy", "Di", "Eli"];
    for country in 0..3 {
        for city in 0..2 {
            let country_name = format!(r#","country":"country{country}""#);
            all.node("City", format!("city{}", 2 * country + city), country_name);
        }
    }
    for tag in 0..10 {
        all.node("Tag", format!("tag{tag}"), String::new());
    }
    for forum in 0..8 {
        all.node("Forum", format!("forum{forum}"), String::new());
    }
    for person in 0..PEOPLE {
        let (first, joined) = (firsts[dice.below(5)], dice.below(1000));
        let more = format!(r#","first":"{first}","joined":{joined}"#);
        all.node("Person", format!("p{person}"), more);
        all.edge(
            "LivesIn",
            format!("p{person}"),
            format!("city{}", dice.below(6)),
            "",
        );
        for tag in 0..10 {
            if dice.below(4) == 0 {
                all.edge("Interested", format!("p{person}"), format!("tag{tag}"), "");
            }
        }
        for forum in 0..8 {
            if dice.below(5) == 0 {
                let since = format!(r#""since":{}"#, dice.below(1000));
                all.edge(
                    "Member",
                    format!("forum{forum}"),
                    format!("p{person}"),
                    &since,
                );
            }
        }
    }
    let mut known = std::collections::BTreeSet::new();
    for _ in 0..4 * PEOPLE {
        let (one, other) = (dice.popular(PEOPLE), dice.below(PEOPLE));
        if one != other && known.insert((one.min(other), one.max(other))) {
            let since = format!(r#""since":{}"#, dice.below(1000));
            all.edge("Knows", format!("p{one}"), format!("p{other}"), &since);
        }
    }
    for post in 0..POSTS {
        let more = format!(
            r#","created":{},"length":{}"#,
            dice.below(1000),
            dice.below(200)
        );
        all.node("Post", format!("post{post}"), more);
        all.edge(
            "Wrote",
            format!("p{}", dice.popular(PEOPLE)),
            format!("post{post}"),
            "",
        );
        all.edge(
            "Holds",
            format!("forum{}", dice.below(8)),
            format!("post{post}"),
            "",
        );
        for tag in 0..10 {
            if dice.below(5) == 0 {
                all.edge("HasTag", format!("post{post}"), format!("tag{tag}"), "");
            }
        }
        for _ in 0..dice.below(4) {
            let liked = format!(r#""liked":{}"#, dice.below(1000));
            all.edge(
                "Likes",
                format!("p{}", dice.below(PEOPLE)),
                format!("post{post}"),
                &liked,
            );
        }
    }
    for comment in 0..150 {
        let created = format!(r#","created":{}"#, dice.below(1000));
        all.node("Comment", format!("comment{comment}"), created);
        let author = format!("p{}", dice.popular(PEOPLE));
        all.edge("Replied", author, format!("comment{comment}"), "");
        all.edge(
            "ReplyOf",
            format!("comment{comment}"),
            format!("post{}", dice.below(POSTS)),
            "",
        );
    }
    all.lines
}

/// Both ways along `knows`, and the people within two steps of p0.
const WITH: &str = "WITH f AS (SELECT src AS a, dst AS b FROM knows UNION ALL SELECT dst, src FROM knows), \
    near AS (SELECT b AS id FROM f WHERE a = 'p0' UNION SELECT g.b FROM f JOIN f g ON g.a = f.b WHERE f.a = 'p0' AND g.b <> 'p0') ";

/// What is asked, as a pattern and as joins behind [`WITH`].
const QUESTIONS: &[(&str, &str, &str)] = &[
    (
        "people of a first name, near by",
        "SELECT id, far FROM GRAPH_TABLE (net MATCH q = ANY SHORTEST (a IS person WHERE a.id = 'p0')-[IS knows]-{1,3}(p IS person WHERE p.first = 'Ada') \
         WHERE p.id <> a.id COLUMNS (p.id, path_length(q) AS far))",
        "SELECT id, min(d) FROM (SELECT b AS id, 1 AS d FROM f WHERE a = 'p0' \
         UNION ALL SELECT g.b, 2 FROM f JOIN f g ON g.a = f.b WHERE f.a = 'p0' \
         UNION ALL SELECT h.b, 3 FROM f JOIN f g ON g.a = f.b JOIN f h ON h.a = g.b WHERE f.a = 'p0') r \
         JOIN person USING (id) WHERE first = 'Ada' AND id <> 'p0' GROUP BY id",
    ),
    (
        "latest posts of friends",
        "SELECT who, post, created FROM GRAPH_TABLE (net MATCH (a IS person WHERE a.id = 'p1')-[IS knows]-(b IS person)-[IS wrote]->(m IS post WHERE m.created <= 700) \
         COLUMNS (b.id AS who, m.id AS post, m.created)) ORDER BY created DESC, post LIMIT 20",
        "SELECT f.b, m.id, m.created FROM f JOIN wrote w ON w.src = f.b JOIN post m ON m.id = w.dst \
         WHERE f.a = 'p1' AND m.created <= 700 ORDER BY m.created DESC, m.id LIMIT 20",
    ),
    (
        "friends near by who live elsewhere and write",
        "SELECT who, country, count(*) FROM (SELECT DISTINCT who, country, post FROM GRAPH_TABLE (net \
         MATCH (a IS person WHERE a.id = 'p0')-[IS knows]-{1,2}(b IS person), (b)-[IS lives_in]->(c IS city WHERE c.country <> 'country0'), (b)-[IS wrote]->(m) \
         WHERE b.id <> 'p0' COLUMNS (b.id AS who, c.country, m.id AS post))) t GROUP BY who, country",
        "SELECT n.id, c.country, count(*) FROM near n JOIN lives_in l ON l.src = n.id JOIN city c ON c.id = l.dst JOIN wrote w ON w.src = n.id \
         WHERE c.country <> 'country0' GROUP BY n.id, c.country",
    ),
    (
        "tags that friends took up",
        "SELECT tag, count(*) FROM (SELECT tag, post FROM GRAPH_TABLE (net MATCH (a IS person WHERE a.id = 'p0')-[IS knows]-(b)-[IS wrote]->(m WHERE m.created >= 40)-[IS has_tag]->(t) \
         WHERE NOT EXISTS (MATCH (a)-[IS knows]-(x)-[IS wrote]->(o WHERE o.created < 40)-[IS has_tag]->(t)) COLUMNS (t.id AS tag, m.id AS post))) n GROUP BY tag",
        "SELECT h.dst, count(*) FROM f JOIN wrote w ON w.src = f.b JOIN post m ON m.id = w.dst JOIN has_tag h ON h.src = m.id \
         WHERE f.a = 'p0' AND m.created >= 40 AND h.dst NOT IN (SELECT i.dst FROM f g JOIN wrote v ON v.src = g.b JOIN post o ON o.id = v.dst JOIN has_tag i ON i.src = o.id \
         WHERE g.a = 'p0' AND o.created < 40) GROUP BY h.dst",
    ),
    (
        "forums that people near by joined, and wrote in",
        "SELECT forum, count(DISTINCT post) FROM GRAPH_TABLE (net MATCH (a IS person WHERE a.id = 'p0')-[IS knows]-{1,2}(b IS person)<-[s IS member WHERE s.since > 300]-(g IS forum), \
         (g)-[IS holds]->(m IS post), (b)-[IS wrote]->(m) WHERE b.id <> 'p0' COLUMNS (g.id AS forum, m.id AS post)) GROUP BY forum",
        "SELECT e.src, count(DISTINCT c.dst) FROM near n JOIN member e ON e.dst = n.id JOIN holds c ON c.src = e.src JOIN wrote w ON w.dst = c.dst AND w.src = n.id \
         WHERE e.since > 300 GROUP BY e.src",
    ),
    (
        "tags beside a tag",
        "SELECT tag, count(DISTINCT post) FROM GRAPH_TABLE (net MATCH (a IS person WHERE a.id = 'p0')-[IS knows]-{1,2}(b)-[IS wrote]->(m)-[IS has_tag]->(t IS tag WHERE t.id = 'tag1'), (m)-[IS has_tag]->(o IS tag) \
         WHERE b.id <> a.id AND o.id <> t.id COLUMNS (o.id AS tag, m.id AS post)) GROUP BY tag",
        "SELECT o.dst, count(DISTINCT w.dst) FROM near n JOIN wrote w ON w.src = n.id JOIN has_tag t ON t.src = w.dst JOIN has_tag o ON o.src = w.dst \
         WHERE t.dst = 'tag1' AND o.dst <> 'tag1' GROUP BY o.dst",
    ),
    (
        "who liked my posts, and do I know them",
        "SELECT who, liked, EXISTS (SELECT FROM GRAPH_TABLE (net MATCH (x WHERE x.id = l.who)-[IS knows]-(y WHERE y.id = 'p2') COLUMNS (x.id))) \
         FROM GRAPH_TABLE (net MATCH (a IS person WHERE a.id = 'p2')-[IS wrote]->(m)<-[k IS likes]-(b) COLUMNS (b.id AS who, k.liked)) l ORDER BY liked DESC, who LIMIT 20",
        "SELECT l.src, l.liked, EXISTS (SELECT FROM f WHERE f.a = 'p2' AND f.b = l.src) FROM wrote w JOIN likes l ON l.dst = w.dst WHERE w.src = 'p2' ORDER BY l.liked DESC, l.src LIMIT 20",
    ),
    (
        "replies to my posts",
        "SELECT who, what, created FROM GRAPH_TABLE (net MATCH (a IS person WHERE a.id = 'p0')-[IS wrote]->(m)<-[IS reply_of]-(c IS comment)<-[IS replied]-(b) \
         COLUMNS (b.id AS who, c.id AS what, c.created)) ORDER BY created DESC, what LIMIT 20",
        "SELECT r.src, c.id, c.created FROM wrote w JOIN reply_of o ON o.dst = w.dst JOIN comment c ON c.id = o.src JOIN replied r ON r.dst = c.id \
         WHERE w.src = 'p0' ORDER BY c.created DESC, c.id LIMIT 20",
    ),
    (
        "whom to know: friends of friends with the same interests",
        "SELECT who, count(DISTINCT tag) FROM GRAPH_TABLE (net MATCH (a IS person WHERE a.id = 'p3')-[IS knows]-()-[IS knows]-(b IS person), (a)-[IS interested]->(t IS tag), (b)-[IS interested]->(t) \
         WHERE b.id <> a.id AND NOT EXISTS (MATCH (a)-[IS knows]-(b)) COLUMNS (b.id AS who, t.id AS tag)) GROUP BY who",
        "SELECT g.b, count(DISTINCT i.dst) FROM f JOIN f g ON g.a = f.b JOIN interested i ON i.src = 'p3' JOIN interested j ON j.src = g.b AND j.dst = i.dst \
         WHERE f.a = 'p3' AND g.b <> 'p3' AND g.b NOT IN (SELECT b FROM f WHERE a = 'p3') GROUP BY g.b",
    ),
    (
        "experts on a tag",
        "SELECT who, count(*) FROM GRAPH_TABLE (net MATCH (a IS person WHERE a.id = 'p0')-[IS knows]-(b)-[IS replied]->(c)-[IS reply_of]->(m)-[IS has_tag]->(t IS tag WHERE t.id IN ('tag1', 'tag2')) \
         COLUMNS (b.id AS who)) GROUP BY who",
        "SELECT f.b, count(*) FROM f JOIN replied r ON r.src = f.b JOIN reply_of o ON o.src = r.dst JOIN has_tag h ON h.src = o.dst \
         WHERE f.a = 'p0' AND h.dst IN ('tag1', 'tag2') GROUP BY f.b",
    ),
    (
        "people who all know each other",
        "SELECT count(*) FROM GRAPH_TABLE (net MATCH (a IS person)-[IS knows]-(b IS person)-[IS knows]-(c IS person)-[IS knows]-(a) COLUMNS (a.id))",
        "SELECT count(*) FROM f JOIN f g ON g.a = f.b JOIN f h ON h.a = g.b AND h.b = f.a",
    ),
    (
        "rings of four",
        "SELECT count(*) FROM GRAPH_TABLE (net MATCH (a IS person)-[IS knows]->(b)-[IS knows]-(c)-[IS knows]-(d)-[IS knows]-(a) WHERE a.joined < 500 COLUMNS (c.id))",
        "SELECT count(*) FROM knows k JOIN person p ON p.id = k.src AND p.joined < 500 JOIN f g ON g.a = k.dst JOIN f h ON h.a = g.b JOIN f i ON i.a = h.b AND i.b = k.src",
    ),
];

async fn sorted(client: &Client, sql: &str) -> Vec<Vec<String>> {
    let mut found = rows(client, sql).await;
    found.sort();
    found
}

async fn check(client: &Client) {
    for (what, pattern, joins) in QUESTIONS {
        let expected = sorted(client, &format!("{WITH}{joins}")).await;
        assert!(!expected.is_empty(), "{what} has no answer");
        assert_eq!(sorted(client, pattern).await, expected, "{what}");
    }
    // How far it is between two people, and by which ways: against all ways that are not longer.
    for (from, to) in [("p0", "p49"), ("p17", "p31"), ("p40", "p41"), ("p5", "p5")] {
        let ways = format!(
            "WITH RECURSIVE f AS (SELECT src AS a, dst AS b FROM knows UNION ALL SELECT dst, src FROM knows), \
             r(id, nodes) AS (SELECT '{from}'::text, ARRAY['{from}'::text] UNION ALL SELECT f.b, r.nodes || f.b FROM r JOIN f ON f.a = r.id WHERE cardinality(r.nodes) < 5 AND f.b <> ALL (r.nodes)), \
             w AS (SELECT nodes FROM r WHERE id = '{to}') SELECT nodes FROM w WHERE cardinality(nodes) = (SELECT min(cardinality(nodes)) FROM w)"
        );
        let all = format!(
            "SELECT nodes FROM GRAPH_TABLE (net MATCH q = ALL SHORTEST (a IS person WHERE a.id = '{from}')-[IS knows]-*(b IS person WHERE b.id = '{to}') COLUMNS (path_vertices(q) AS nodes))"
        );
        let expected = sorted(client, &ways).await;
        assert!(!expected.is_empty(), "{from} to {to}");
        assert_eq!(sorted(client, &all).await, expected, "{from} to {to}");
        let length = format!("SELECT cardinality(nodes) - 1 FROM ({ways}) w LIMIT 1");
        let any = format!(
            "SELECT path_length FROM GRAPH_TABLE (net MATCH q = ANY SHORTEST (a IS person WHERE a.id = '{from}')-[IS knows]-*(b IS person WHERE b.id = '{to}') COLUMNS (path_length(q)))"
        );
        let expected = one(client, &length).await;
        assert_eq!(one(client, &any).await, expected, "{from} to {to}");
        let called = format!(
            "SELECT max(step) FROM shortest_path('knows', '{from}', '{to}', direction => 'both')"
        );
        assert_eq!(one(client, &called).await, expected, "{from} to {to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_answer_what_joins_answer() {
    let server = Server::with(&[("net", SCHEMA)]).await;
    let client = server.client_of("net", "ada").await;
    let sink = client
        .copy_in("COPY omnigraph.ndjson FROM STDIN")
        .await
        .expect("COPY");
    futures::pin_mut!(sink);
    sink.send(Bytes::from(network())).await.expect("data");
    sink.finish().await.expect("loaded");
    check(&client).await;
    // The same through what a commit and an open transaction add and take away.
    run(&client, "DELETE FROM knows WHERE since % 7 = 0").await;
    run(
        &client,
        "INSERT INTO knows (src, dst, since) VALUES ('p0', 'p30', 1), ('p30', 'p49', 2), ('p31', 'p30', 3)",
    )
    .await;
    check(&client).await;
    run(&client, "BEGIN").await;
    run(
        &client,
        "DELETE FROM wrote WHERE dst IN (SELECT id FROM post WHERE length % 5 = 0)",
    )
    .await;
    run(
        &client,
        "INSERT INTO knows (src, dst, since) VALUES ('p2', 'p33', 1), ('p33', 'p1', 2)",
    )
    .await;
    check(&client).await;
    run(&client, "ROLLBACK").await;
}
