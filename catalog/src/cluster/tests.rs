//! The life of a cluster over a store in memory, and the death of its commands at every step.

mod runtime;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use omnigraph_engine::restrict::RowPredicate;
use omnigraph_engine::schema::{Schema, TypeDef};
use omnigraph_engine::storage::{Fault, Faults, Operation};
use omnigraph_engine::{ResourceLimits, Resources, Store, StoreOptions};
use tempfile::TempDir;

use super::address::Address;
use super::change::{Change, Preview};
use super::ledger::Ledger;
use super::spec::{File, Spec};
use super::{Cluster, Error, Outcome, files, lock};
use crate::diagnostic::Diagnostic;
use crate::stored::{Asker, Compiled, Compiler};

const PEOPLE: &str = "node Person { name: String @key  age: I32? }\n";
const POLICY: &str = "
version: 1
groups: { all: [ada] }
rules:
  - id: read
    allow: { actors: { group: all }, actions: [read], branch_scope: any }
";
const CLUSTER: &str = "
version: 1
metadata: { name: company-brain }
graphs:
  knowledge:
    schema: ./people.pg
    queries:
      find_person: { file: ./people.gq }
  scratch:
    schema: scratch.pg
policies:
  base: { file: base.policy.yaml, applies_to: [knowledge] }
";

/// What queries mean is the gateway's business.
#[derive(Debug)]
struct Unread;

impl Compiler for Unread {
    fn compile(&self, _: &str, _: &BTreeMap<String, File>, _: &Arc<Schema>) -> Compiled {
        Compiled::default()
    }

    fn condition(
        &self,
        _: &Arc<Schema>,
        of: &Arc<TypeDef>,
        text: &str,
        _: Asker<'_>,
    ) -> Result<Arc<dyn RowPredicate>, String> {
        Err(format!("\"{text}\" of {} is not read here", of.name))
    }
}

struct Fixture {
    config: TempDir,
    store: Store,
}

impl Fixture {
    async fn new() -> Fixture {
        let fixture = Fixture {
            config: TempDir::new().unwrap(),
            store: Store::connect("memory:", &StoreOptions::default())
                .await
                .unwrap(),
        };
        fixture.file("cluster.yaml", CLUSTER);
        fixture.file("people.pg", PEOPLE);
        fixture.file("scratch.pg", PEOPLE);
        fixture.file(
            "people.gq",
            "query find_person($name: String) { match { $p: Person } return { $p.name } }",
        );
        fixture.file("base.policy.yaml", POLICY);
        fixture
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.config.path().join(name), text).unwrap();
    }

    /// Changes a piece of a declared file.
    fn edit(&self, name: &str, from: &str, to: &str) {
        let path = self.config.path().join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    }

    fn remove_scratch(&self) {
        self.edit("cluster.yaml", "  scratch:\n    schema: scratch.pg\n", "");
    }

    fn spec(&self) -> Spec {
        Spec::load(self.config.path(), &Unread).unwrap().0
    }

    fn mistakes(&self) -> Vec<Diagnostic> {
        Spec::load(self.config.path(), &Unread).unwrap_err()
    }

    fn cluster(&self) -> Cluster {
        over(self.store.clone())
    }

    async fn ledger(&self) -> Ledger {
        Ledger::require(&self.store).await.unwrap()
    }

    async fn imported(self) -> Fixture {
        self.cluster().import(&self.spec(), None).await.unwrap();
        self
    }

    async fn applied(self) -> Fixture {
        let fixture = self.imported().await;
        assert!(fixture.apply().await.converged);
        fixture
    }

    async fn apply(&self) -> Outcome {
        self.cluster()
            .apply(&self.spec(), Some("andrew"))
            .await
            .unwrap()
    }

    async fn plan(&self) -> Vec<String> {
        shown(
            &self
                .cluster()
                .plan(&self.spec(), None, true)
                .await
                .unwrap()
                .changes,
        )
    }

    async fn live_schema(&self, graph: &str) -> String {
        let graph = self.cluster().graph(graph).await.unwrap();
        graph
            .snapshot("main")
            .await
            .unwrap()
            .schema()
            .source
            .clone()
    }
}

fn over(store: Store) -> Cluster {
    Cluster::new(store, Resources::new(&ResourceLimits::default()))
}

fn shown(changes: &[Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

fn codes(found: &[Diagnostic]) -> Vec<&str> {
    found.iter().map(|one| one.code).collect()
}

fn code(error: &Error) -> &str {
    match error {
        Error::Refused(found) => found.code,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn from_zero_to_converged_and_idempotent() {
    let fixture = Fixture::new().await;
    let all = [
        "Create graph.knowledge",
        "Create graph.scratch",
        "Create schema.knowledge",
        "Create schema.scratch",
        "Create query.knowledge.find_person",
        "Create policy.base",
    ];
    assert_eq!(fixture.plan().await, all);
    let error = fixture
        .cluster()
        .apply(&fixture.spec(), None)
        .await
        .unwrap_err();
    assert_eq!(code(&error), "state_missing");
    let fixture = fixture.imported().await;
    let error = fixture
        .cluster()
        .import(&fixture.spec(), None)
        .await
        .unwrap_err();
    assert_eq!(code(&error), "state_exists");
    let outcome = fixture.apply().await;
    assert!(outcome.converged && outcome.state_written && outcome.errors.is_empty());
    assert_eq!(shown(&outcome.changes), all);
    assert_eq!(fixture.live_schema("knowledge").await, PEOPLE);
    let again = fixture.apply().await;
    assert!(again.converged && !again.state_written && again.changes.is_empty());
    assert_eq!(again.state_revision, outcome.state_revision);
    assert!(lock::holder(&fixture.store).await.unwrap().is_none());
    let standing = fixture.cluster().status().await.unwrap();
    assert!(
        standing.errors.is_empty() && standing.warnings.is_empty() && standing.unsettled.is_empty()
    );
    assert_eq!(
        standing.ledger.applied_revision.config_digest,
        Some(fixture.spec().config_digest)
    );
}

#[tokio::test]
async fn a_schema_and_a_query_change_together_and_branches_are_in_nobodys_way() {
    let fixture = Fixture::new().await.applied().await;
    let graph = fixture.cluster().graph("knowledge").await.unwrap();
    let review = omnigraph_engine::names::BranchName::parse("review").unwrap();
    graph.create_branch(&review, "main", "ada").await.unwrap();
    fixture.edit("people.pg", "age: I32?", "age: I32?  nick: String?");
    fixture.edit("people.gq", "$p.name", "$p.nick");
    fixture.edit("base.policy.yaml", "[ada]", "[ada, bob]");
    fixture.edit(
        "cluster.yaml",
        "applies_to: [knowledge]",
        "applies_to: [knowledge, scratch]",
    );
    let plan = fixture
        .cluster()
        .plan(&fixture.spec(), None, true)
        .await
        .unwrap();
    assert_eq!(
        shown(&plan.changes),
        [
            "Update graph.knowledge",
            "Update schema.knowledge",
            "Update query.knowledge.find_person",
            "Update policy.base [bindings]",
        ]
    );
    let Some(Preview::Steps(steps)) = &plan.changes[1].migration else {
        panic!("the steps are shown");
    };
    assert_eq!(steps[0].to_string(), "add property Person.nick: String?");
    let outcome = fixture.apply().await;
    assert!(outcome.converged, "{:?}", outcome.errors);
    assert!(fixture.live_schema("knowledge").await.contains("nick"));
    let ledger = fixture.ledger().await;
    let base = ledger
        .resource(&Address::Policy("base".to_owned()))
        .unwrap();
    assert_eq!(
        base.applies_to.as_deref().unwrap(),
        ["graph.knowledge", "graph.scratch"]
    );
}

#[tokio::test]
async fn a_refused_migration_leaves_no_trace_and_blocks_what_needs_it() {
    let fixture = Fixture::new().await.applied().await;
    fixture.edit("people.pg", "age: I32?", "age: String?");
    fixture.edit("people.gq", "$p.name", "$p.age");
    fixture.edit("base.policy.yaml", "[ada]", "[ada, bob]");
    let outcome = fixture.apply().await;
    assert_eq!(
        shown(&outcome.changes),
        [
            "Update graph.knowledge [Blocked: dependency_blocked]",
            "Update schema.knowledge [Blocked: migration_unsupported]",
            "Update query.knowledge.find_person [Blocked: dependency_blocked]",
            "Update policy.base",
        ]
    );
    assert!(!outcome.converged && outcome.errors.is_empty());
    assert_eq!(
        codes(&outcome.warnings),
        [
            "apply_dependency_blocked",
            "migration_unsupported",
            "apply_dependency_blocked"
        ]
    );
    assert!(
        fixture
            .store
            .list_objects(files::INTENTS)
            .await
            .unwrap()
            .is_empty()
    );
    let again = fixture.apply().await;
    assert!(!again.state_written && !again.converged);
    // The config is put right: everything is as declared again.
    fixture.file("people.pg", PEOPLE);
    let outcome = fixture.apply().await;
    assert_eq!(
        shown(&outcome.changes),
        [
            "Update graph.knowledge",
            "Update query.knowledge.find_person"
        ]
    );
    assert!(outcome.converged);
    assert!(
        fixture
            .ledger()
            .await
            .resource_statuses
            .values()
            .all(|status| status.status.name() == "applied")
    );
}

#[tokio::test]
async fn rows_in_the_way_are_an_error_that_leaves_no_intent() {
    let fixture = Fixture::new().await.applied().await;
    let graph = fixture.cluster().graph("knowledge").await.unwrap();
    let rows = "{\"type\":\"Person\",\"data\":{\"name\":\"ada\"}}\n";
    let main = omnigraph_engine::names::BranchName::main();
    let mode = omnigraph_engine::load::LoadMode::Append;
    omnigraph_engine::load::load(&graph, &main, mode, rows.as_bytes(), Default::default())
        .await
        .unwrap();
    fixture.edit("people.pg", "age: I32?", "age: I32");
    let outcome = fixture.apply().await;
    assert!(!outcome.converged);
    assert_eq!(codes(&outcome.errors), ["schema_data_conflict"]);
    assert!(
        outcome.errors[0].message.contains("contains null values"),
        "{}",
        outcome.errors[0]
    );
    assert!(
        fixture
            .store
            .list_objects(files::INTENTS)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_graph_is_deleted_only_as_it_was_approved() {
    let fixture = Fixture::new().await.applied().await;
    fixture.remove_scratch();
    let scratch = Address::Graph("scratch".to_owned());
    let blocked = "Delete graph.scratch [Blocked: approval_required]";
    assert!(fixture.plan().await.contains(&blocked.to_owned()));
    let outcome = fixture.apply().await;
    assert!(!outcome.converged && shown(&outcome.changes).contains(&blocked.to_owned()));
    let knowledge = Address::Graph("knowledge".to_owned());
    let error = fixture
        .cluster()
        .approve(&fixture.spec(), &knowledge, "andrew")
        .await
        .unwrap_err();
    assert_eq!(code(&error), "approval_no_change");
    fixture
        .cluster()
        .approve(&fixture.spec(), &scratch, "andrew")
        .await
        .unwrap();
    // Any movement of the config makes it stale.
    fixture.edit("base.policy.yaml", "[ada]", "[ada, bob]");
    let outcome = fixture.apply().await;
    assert!(
        codes(&outcome.warnings).contains(&"approval_stale"),
        "{:?}",
        outcome.warnings
    );
    assert!(fixture.cluster().graph("scratch").await.is_ok());
    let approval = fixture
        .cluster()
        .approve(&fixture.spec(), &scratch, "andrew")
        .await
        .unwrap();
    let outcome = fixture.apply().await;
    assert!(
        outcome.converged,
        "{:?} {:?}",
        outcome.errors,
        shown(&outcome.changes)
    );
    assert!(fixture.cluster().graph("scratch").await.is_err());
    let ledger = fixture.ledger().await;
    assert!(ledger.approval_was_consumed(&approval.approval_id));
    assert!(ledger.tombstones.contains_key("graph.scratch"));
    assert!(
        ledger
            .resources()
            .all(|(address, _)| address.graph() != Some("scratch"))
    );
    assert!(!fixture.apply().await.state_written);
    // The name is free for a new, empty graph.
    fixture.file("cluster.yaml", CLUSTER);
    assert!(fixture.apply().await.converged);
    assert_eq!(fixture.live_schema("scratch").await, PEOPLE);
}

#[tokio::test]
async fn drift_is_found_by_refresh_and_converged_by_apply() {
    let fixture = Fixture::new().await.applied().await;
    let graph = fixture.cluster().graph("knowledge").await.unwrap();
    let main = omnigraph_engine::names::BranchName::main();
    graph
        .migrate(
            &main,
            "node Person { name: String @key  age: I32?  extra: I32? }\n",
            "eve",
            None,
        )
        .await
        .unwrap();
    assert!(fixture.plan().await.is_empty(), "only refresh looks");
    let observed = fixture
        .cluster()
        .refresh(&fixture.spec(), None)
        .await
        .unwrap();
    assert_eq!(codes(&observed.warnings), ["schema_drift"]);
    assert_eq!(fixture.plan().await, ["Update schema.knowledge"]);
    assert!(fixture.apply().await.converged);
    assert_eq!(fixture.live_schema("knowledge").await, PEOPLE);
    // A payload that was tampered with, and one that is gone.
    let ledger = fixture.ledger().await;
    for (address, extension, body) in [
        (
            Address::Policy("base".to_owned()),
            "yaml",
            Some("version: 1"),
        ),
        (
            Address::Query {
                graph: "knowledge".to_owned(),
                name: "find_person".to_owned(),
            },
            "gq",
            None,
        ),
    ] {
        let key = files::payload(
            &address,
            &ledger.resource(&address).unwrap().digest,
            extension,
        )
        .unwrap();
        match body {
            Some(body) => fixture.store.write(&key, body.into()).await.unwrap(),
            None => fixture.store.delete(&key).await.unwrap(),
        }
    }
    let standing = fixture.cluster().status().await.unwrap();
    assert_eq!(
        codes(&standing.warnings),
        ["catalog_payload_digest_mismatch", "catalog_payload_missing"]
    );
    fixture
        .cluster()
        .refresh(&fixture.spec(), None)
        .await
        .unwrap();
    assert_eq!(
        fixture.plan().await,
        ["Create query.knowledge.find_person", "Create policy.base"]
    );
    assert!(fixture.apply().await.converged);
    assert!(
        fixture
            .cluster()
            .status()
            .await
            .unwrap()
            .warnings
            .is_empty()
    );
    // A root that vanished.
    for (key, _) in fixture
        .store
        .list_all("graphs/knowledge.omni")
        .await
        .unwrap()
    {
        fixture.store.delete(&key).await.unwrap();
    }
    let observed = fixture
        .cluster()
        .refresh(&fixture.spec(), None)
        .await
        .unwrap();
    assert_eq!(codes(&observed.warnings), ["graph_missing"]);
    assert!(
        fixture
            .plan()
            .await
            .contains(&"Create graph.knowledge".to_owned())
    );
    assert!(fixture.apply().await.converged);
    assert!(
        !fixture
            .cluster()
            .refresh(&fixture.spec(), None)
            .await
            .unwrap()
            .errors
            .iter()
            .any(Diagnostic::is_error)
    );
}

#[tokio::test]
async fn a_lost_ledger_is_made_again_from_what_is_there() {
    let fixture = Fixture::new().await.applied().await;
    for (key, _) in fixture.store.list_all("__cluster").await.unwrap() {
        if key.contains("state.json") || key.contains("revisions") {
            fixture.store.delete(&key).await.unwrap();
        }
    }
    let observed = fixture
        .cluster()
        .import(&fixture.spec(), None)
        .await
        .unwrap();
    assert_eq!(
        observed.ledger.observations["graph.knowledge"]["exists"],
        true
    );
    let outcome = fixture.apply().await;
    assert!(
        outcome.converged
            && !shown(&outcome.changes).contains(&"Create graph.knowledge".to_owned())
    );
    assert!(fixture.plan().await.is_empty());
}

#[tokio::test]
async fn ledgers_older_than_bindings_are_brought_up_to_date() {
    let fixture = Fixture::new().await.applied().await;
    let before = fixture.ledger().await;
    let mut old = before.clone();
    for resource in old.applied_revision.resources.values_mut() {
        resource.applies_to = None;
        resource.extension = None;
    }
    old.write(&fixture.store, Some(&before)).await.unwrap();
    assert_eq!(fixture.plan().await, ["Update policy.base [metadata]"]);
    assert!(fixture.apply().await.converged);
    assert!(fixture.plan().await.is_empty());
}

#[tokio::test]
async fn the_data_of_another_system_is_named_and_left_alone() {
    let fixture = Fixture::new().await.imported().await;
    let foreign = "graphs/scratch.omni/__manifest/_versions/1.manifest";
    fixture.store.write(foreign, "x".into()).await.unwrap();
    let outcome = fixture.apply().await;
    assert!(!outcome.converged);
    assert!(
        shown(&outcome.changes)
            .contains(&"Create graph.scratch [Blocked: graph_foreign_format]".to_owned())
    );
    let found = outcome
        .warnings
        .iter()
        .find(|one| one.code == "graph_foreign_format")
        .unwrap();
    assert!(
        found.message.contains("omnigraph load --mode overwrite"),
        "{found}"
    );
    let there: Vec<String> = fixture
        .store
        .list_all("graphs/scratch.omni")
        .await
        .unwrap()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(there, [foreign]);
    assert!(fixture.cluster().graph("knowledge").await.is_ok());
}

#[tokio::test]
async fn a_held_lock_is_told_and_taken_away_only_by_its_id() {
    let fixture = Fixture::new().await.applied().await;
    let cluster = fixture.cluster();
    let held = lock::Lock::take(&fixture.store, "apply", Some("eve"), &cluster.clock)
        .await
        .unwrap();
    let error = cluster.apply(&fixture.spec(), None).await.unwrap_err();
    assert_eq!(code(&error), "state_lock_held");
    let text = error.to_string();
    assert!(
        text.contains("by eve") && text.contains(&held.holder.lock_id),
        "{text}"
    );
    assert!(
        cluster
            .plan(&fixture.spec(), None, false)
            .await
            .unwrap()
            .lock
            .is_some()
    );
    assert_eq!(
        code(&lock::force_unlock(&fixture.store, "x").await.unwrap_err()),
        "state_lock_mismatch"
    );
    lock::force_unlock(&fixture.store, &held.holder.lock_id)
        .await
        .unwrap();
    // Whoever held it leaves the lock of the next one alone.
    let next = lock::Lock::take(&fixture.store, "apply", None, &cluster.clock)
        .await
        .unwrap();
    held.release().await.unwrap();
    assert!(lock::holder(&fixture.store).await.unwrap().is_some());
    next.release().await.unwrap();
    assert!(lock::holder(&fixture.store).await.unwrap().is_none());
}

/// One applier sleeps before it writes the ledger; its lock is taken away and another applies.
#[tokio::test]
async fn an_applier_that_slept_does_not_undo_the_next_one() {
    let fixture = Fixture::new().await.applied().await;
    let slept = fixture.ledger().await;
    fixture.edit("base.policy.yaml", "[ada]", "[ada, bob]");
    assert!(fixture.apply().await.converged);
    let mut stale = slept.clone();
    stale.set_status(
        &Address::Policy("base".to_owned()),
        super::ledger::Status::Error,
        None,
    );
    assert!(matches!(
        stale.write(&fixture.store, Some(&slept)).await,
        Err(Error::Lost { .. })
    ));
    assert!(fixture.plan().await.is_empty());
}

/// The store stops for good at one request.
#[derive(Debug)]
struct Stop {
    armed: AtomicBool,
    seen: AtomicU64,
    at: u64,
    after: bool,
}

#[async_trait]
impl Faults for Stop {
    async fn on(&self, operation: Operation, key: &str) -> Fault {
        if !self.armed.load(Ordering::SeqCst) {
            return Fault::None;
        }
        // Writes are where runs differ; everything fails from the chosen one on.
        let seen = match operation {
            Operation::Put | Operation::Delete => self.seen.fetch_add(1, Ordering::SeqCst),
            _ => self.seen.load(Ordering::SeqCst),
        };
        if seen == self.at && self.after && operation == Operation::Put {
            Fault::FailAfter(format!("stopped after {key}"))
        } else if seen > self.at || seen == self.at && !self.after && operation == Operation::Put {
            Fault::FailBefore(format!("stopped before {key}"))
        } else {
            Fault::None
        }
    }
}

/// Kills apply at each of its writes, then runs it again in another process: it converges, on
/// the same state as a run that was left alone, and the graphs hold what they held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apply_killed_anywhere_converges_when_it_is_run_again() {
    for after in [false, true] {
        let mut at = 0;
        loop {
            let fixture = Fixture::new().await.applied().await;
            // Everything at once: a creation, a migration, payloads, a deletion.
            fixture.remove_scratch();
            fixture.edit(
                "cluster.yaml",
                "graphs:\n",
                "graphs:\n  fresh: { schema: scratch.pg }\n",
            );
            fixture.edit(
                "people.pg",
                "age: I32?",
                "age: I32?  nick: String? @default(\"x\")",
            );
            fixture.edit("people.gq", "$p.name", "$p.nick");
            let scratch = Address::Graph("scratch".to_owned());
            fixture
                .cluster()
                .approve(&fixture.spec(), &scratch, "andrew")
                .await
                .unwrap();

            let stop = Arc::new(Stop {
                armed: AtomicBool::new(true),
                seen: AtomicU64::new(0),
                at,
                after,
            });
            let store = fixture
                .store
                .with_faults(stop.clone())
                .with_patience(std::time::Duration::from_millis(50));
            let killed = over(store).apply(&fixture.spec(), Some("andrew")).await;
            let done = stop.seen.load(Ordering::SeqCst) <= at;
            if done {
                assert!(killed.unwrap().converged, "the whole run is {at} writes");
                assert!(at > 20, "{at}");
                break;
            }
            if let Some(held) = lock::holder(&fixture.store).await.unwrap() {
                lock::force_unlock(&fixture.store, &held.lock_id)
                    .await
                    .unwrap();
            }
            // Whoever reads the ledger meanwhile reads a whole one.
            fixture.cluster().status().await.unwrap();
            let outcome = fixture.apply().await;
            assert!(
                outcome.converged,
                "killed at {at} ({after}): {:?} {:?} {:?}",
                shown(&outcome.changes),
                outcome.errors,
                outcome.warnings
            );
            let again = fixture.apply().await;
            assert!(
                again.converged && !again.state_written && again.changes.is_empty(),
                "killed at {at}"
            );
            assert!(fixture.live_schema("knowledge").await.contains("nick"));
            assert_eq!(fixture.live_schema("fresh").await, PEOPLE);
            assert!(fixture.cluster().graph("scratch").await.is_err());
            let standing = fixture.cluster().status().await.unwrap();
            assert!(
                standing.errors.is_empty()
                    && standing.warnings.is_empty()
                    && standing.unsettled.is_empty()
            );
            assert!(
                standing.approvals.is_empty(),
                "the approval was used once, killed at {at}"
            );
            assert!(standing.ledger.tombstones.contains_key("graph.scratch"));
            at += 1;
        }
    }
}

#[tokio::test]
async fn every_mistake_of_a_config_is_told_at_once_with_its_place() {
    let fixture = Fixture::new().await;
    fixture.file(
        "cluster.yaml",
        "version: 1
extra: 1
pipelines: {}
providers:
  embedding:
    default: { kind: openai, api_key: sk-123 }
graphs:
  knowledge:
    schema: people.pg
    embedding_provider: other
    queries: [people.gq, people.gq]
  Knowledge: { schema: nowhere.pg }
  postgres: { schema: bad.pg }
  1x: { schema: people.pg }
policies:
  base: { file: base.policy.yaml, applies_to: [knowledge] }
  more: { file: base.policy.yaml, applies_to: [knowledge, nobody] }
  all: { file: base.policy.yaml, applies_to: [cluster] }
",
    );
    fixture.file("bad.pg", "node Person { name: Strin @key }\n");
    let found: Vec<(&str, String)> = fixture
        .mistakes()
        .iter()
        .map(|one| {
            (
                one.code,
                one.place
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            )
        })
        .collect();
    for expected in [
        ("unknown_field", "cluster.yaml:2:1"),
        ("reserved_key", "cluster.yaml:3:1"),
        ("inline_secret", "cluster.yaml:6:39"),
        ("unknown_reference", "cluster.yaml:10:25"),
        ("duplicate_query", "cluster.yaml:11:26"),
        ("name_case_clash", "cluster.yaml:12:3"),
        ("file_missing", "cluster.yaml:12:24"),
        ("invalid_name", "cluster.yaml:13:3"),
        ("schema_invalid", "bad.pg:1:21"),
        ("invalid_name", "cluster.yaml:14:3"),
        ("policy_scope_conflict", "cluster.yaml:17:48"),
        ("unknown_reference", "cluster.yaml:17:59"),
        ("policy_kind_mismatch", "cluster.yaml:18:3"),
    ] {
        assert!(
            found
                .iter()
                .any(|(code, place)| (*code, place.as_str()) == expected),
            "{expected:?} is not in {found:#?}"
        );
    }
    assert_eq!(found.len(), 13, "{found:#?}");
}

#[test]
fn the_example_is_valid() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/company");
    let (spec, _) = Spec::load(&example, &Unread).unwrap();
    assert!(spec.graphs["company"].queries.len() > 3);
}
