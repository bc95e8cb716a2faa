use serde_json::Value;

use super::*;

fn pointer() -> CommitPointer {
    CommitPointer {
        branch: "b".to_owned(),
        seq: 7,
        restated: None,
    }
}

#[test]
fn what_was_encoded_is_decoded() {
    let bytes = encode(&pointer()).unwrap();
    let back: CommitPointer = decode("k", &bytes).unwrap();
    assert_eq!((back.branch.as_str(), back.seq), ("b", 7));
}

#[test]
fn damage_is_named_and_never_read() {
    let bytes = encode(&pointer()).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        // Another bit would make the version before of the version, which is read.
        damaged[at] ^= 4;
        let error = decode::<CommitPointer>("the/key", &damaged).unwrap_err();
        assert!(matches!(error, Error::Corrupt { object, .. } if object == "the/key"));
    }
    for cut in 0..bytes.len() {
        assert!(decode::<CommitPointer>("k", &bytes[..cut]).is_err());
    }
    assert!(decode::<GraphFile>("k", &bytes).is_err());
}

#[test]
fn the_version_before_is_read_and_no_other() {
    let written = String::from_utf8(encode(&pointer()).unwrap().to_vec()).unwrap();
    for version in 0..10 {
        let other = written.replacen(&format!(" {FORMAT_VERSION} "), &format!(" {version} "), 1);
        let read = decode::<CommitPointer>("k", other.as_bytes());
        let is_known = [FORMER_VERSION, FORMAT_VERSION].contains(&version);
        assert_eq!(read.is_ok(), is_known, "{version}");
    }
}

fn names(value: &Value, found: &mut BTreeSet<String>) {
    // What these hold is named by identities, branches and people.
    const MAPS: [&str; 6] = [
        "tables", "locked", "branches", "tags", "horizons", "metadata",
    ];
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                found.insert(name.clone());
                match value {
                    Value::Object(inner) if MAPS.contains(&name.as_str()) => {
                        inner.values().for_each(|value| names(value, found));
                    }
                    _ => names(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

fn line() -> TableLine {
    TableLine {
        location: TableLocation {
            dir: "nodes/Person-1".to_owned(),
            version: 1 << 63,
            manifest_size: 1,
            rows: 1,
            fragments: 1,
        },
        shape: "s".to_owned(),
        changed_by: id(),
    }
}

fn id() -> CommitId {
    CommitId::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap()
}

fn place() -> ForkPoint {
    ForkPoint {
        branch: "b".to_owned(),
        seq: 1,
        commit: id(),
    }
}

/// An entry with every member that one can have.
fn entry(kind: EntryKind) -> LogEntry {
    LogEntry {
        seq: 2,
        nonce: "n".to_owned(),
        time: 3,
        actor: "a".to_owned(),
        kind,
        state: Some(BranchState {
            head: id(),
            generation: 4,
            lineage: Lineage {
                depth: 3,
                line: 1,
                merged: Some(2),
                fence: Some(5),
            },
            schema: "d".to_owned(),
            tables: BTreeMap::from([(TypeId(1), line())]),
            locked_at: Some(2),
        }),
        expired: true,
    }
}

fn commit() -> Commit {
    let written = Written::Ids(vec!["x".to_owned()]);
    Commit {
        id: id(),
        parents: vec![id(), id()],
        generation: 4,
        actor: "a".to_owned(),
        time: 3,
        message: Some("m".to_owned()),
        metadata: serde_json::Map::from_iter([("k".to_owned(), Value::Null)]),
        idempotency_key: Some("k".to_owned()),
        kind: CommitKind::Merge,
        schema: Some("d".to_owned()),
        inserted: 1,
        updated: 1,
        deleted: 1,
        tables: BTreeMap::from([(
            TypeId(1),
            TableCommit {
                after: line(),
                written: written.clone(),
            },
        )]),
        locked: BTreeMap::from([(TypeId(1), written)]),
        dropped: vec![TypeId(2)],
    }
}

fn junction() -> Junction {
    Junction {
        from: place(),
        lines: 1,
        skip: Some(LinePoint {
            branch: "b".to_owned(),
            seq: 1,
            lines: 0,
        }),
    }
}

fn step(operation: RefOperation) -> RefEntry {
    let line = NameLine {
        branch: "b".to_owned(),
        ordinal: 1,
        created_at: 1,
        created_by: "a".to_owned(),
        from: Some(place()),
        from_name: Some("main".to_owned()),
    };
    RefEntry {
        number: 100,
        nonce: "n".to_owned(),
        time: 1,
        actor: "a".to_owned(),
        operation,
        all: Some(AllNames {
            branches: BTreeMap::from([("main".to_owned(), line)]),
            tags: BTreeMap::from([("v1".to_owned(), tag())]),
            fence: Some(fence()),
        }),
    }
}

fn tag() -> TagLine {
    TagLine {
        at: place(),
        created_at: 1,
        created_by: "a".to_owned(),
        message: Some("m".to_owned()),
    }
}

fn fence() -> Fence {
    Fence {
        number: 100,
        grace: 1,
        horizons: BTreeMap::from([("b".to_owned(), 1)]),
        pinned: BTreeSet::from([("b".to_owned(), 0)]),
    }
}

/// What is written is what the page on the format tells of, member by member.
#[test]
fn the_page_names_every_member() {
    let page = include_str!("../../../docs/format.md");
    let mut found = BTreeSet::new();
    let mut add = |value: Value| names(&value, &mut found);
    for kind in [
        EntryKind::Fork(junction()),
        EntryKind::Commits {
            commits: vec![commit()],
        },
        EntryKind::Noop { hold_ms: 1 },
    ] {
        add(serde_json::to_value(entry(kind)).unwrap());
    }
    for operation in [
        RefOperation::CreateTag {
            name: "v1".to_owned(),
            tag: tag(),
        },
        RefOperation::Fence { fence: fence() },
    ] {
        add(serde_json::to_value(step(operation)).unwrap());
    }
    let pointer = CommitPointer {
        restated: Some(EntryPlace {
            branch: "b".to_owned(),
            seq: 1,
        }),
        ..pointer()
    };
    add(serde_json::to_value(pointer).unwrap());
    let ids = BTreeMap::from([(TypeId(1), vec!["x".to_owned()])]);
    add(serde_json::to_value(ChangedIds {
        tables: ids.clone(),
        locked: ids,
    })
    .unwrap());
    add(serde_json::to_value(Abandoned { commit: id() }).unwrap());
    add(serde_json::to_value(Checkpoint {
        entries: Vec::new(),
    })
    .unwrap());
    add(serde_json::to_value(GraphFile {
        id: "g".to_owned(),
        created_at: 1,
        created_by: "a".to_owned(),
    })
    .unwrap());
    for name in &found {
        assert!(
            page.contains(&format!("`{name}`")),
            "{name} is not on the page"
        );
    }
    assert!(page.contains(&format!("Format version {FORMAT_VERSION}.")));
}

/// Every kind of object is read back as it was written.
#[test]
fn entries_are_read_back_whole() {
    for kind in [
        EntryKind::Fork(junction()),
        EntryKind::Commits {
            commits: vec![commit()],
        },
        EntryKind::Maintain,
        EntryKind::Forward(junction()),
        EntryKind::Reset(junction()),
        EntryKind::Fence,
        EntryKind::Noop { hold_ms: 1 },
        EntryKind::Tombstone,
    ] {
        let written = entry(kind);
        let bytes = encode(&written).unwrap();
        let back: LogEntry = decode("k", &bytes).unwrap();
        assert_eq!(encode(&back).unwrap(), bytes);
        assert_eq!(back.state, written.state);
    }
    for operation in [
        RefOperation::DeleteTag {
            name: "v1".to_owned(),
            tag: tag(),
        },
        RefOperation::Delete {
            name: "b".to_owned(),
        },
        RefOperation::Fence { fence: fence() },
    ] {
        let bytes = encode(&step(operation)).unwrap();
        let back: RefEntry = decode("k", &bytes).unwrap();
        assert_eq!(encode(&back).unwrap(), bytes);
    }
}
