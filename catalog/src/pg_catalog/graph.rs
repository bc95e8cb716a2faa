//! What the catalogs say about the graph itself: branches as namespaces, databases, roles.

use super::input::DatabaseRow;
use super::oid::{FIRST_ROLE, LAST_ROLE, OWNER};

/// The role that owns everything. Nobody logs in as it.
pub const OWNER_NAME: &str = "omnigraph";

#[derive(Debug)]
pub struct GraphFacts {
    pub database: String,
    pub databases: Vec<DatabaseRow>,
    pub branches: Vec<Namespace>,
    pub roles: Vec<Role>,
}

#[derive(Debug)]
pub struct Namespace {
    pub oid: u32,
    pub name: String,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Role {
    pub oid: u32,
    pub name: String,
    pub superuser: bool,
    pub login: bool,
}

/// The owner, then the actors in their order. Who is connected is listed even when no
/// configuration names it. There is room for 25,536.
pub fn roles(actors: &[String], current: &str) -> Vec<Role> {
    let mut roles = vec![Role {
        oid: OWNER,
        name: OWNER_NAME.to_owned(),
        superuser: true,
        login: false,
    }];
    let current = (!actors.iter().any(|actor| actor == current)).then_some(current);
    let names = actors.iter().map(String::as_str).chain(current);
    for (oid, name) in (FIRST_ROLE..=LAST_ROLE).zip(names) {
        if name == OWNER_NAME {
            // An actor that is called like the owner is the owner.
            roles[0].login = true;
        } else {
            roles.push(Role {
                oid,
                name: name.to_owned(),
                superuser: false,
                login: true,
            });
        }
    }
    roles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_keep_their_oids_when_others_connect() {
        let actors = ["ada".to_owned(), "grace".to_owned()];
        let oid = |current: &str, name: &str| {
            roles(&actors, current)
                .into_iter()
                .find(|role| role.name == name)
                .map(|role| role.oid)
        };
        assert_eq!(oid("ada", "grace"), Some(FIRST_ROLE + 1));
        assert_eq!(oid("somebody", "grace"), Some(FIRST_ROLE + 1));
        assert_eq!(oid("somebody", "somebody"), Some(FIRST_ROLE + 2));
        assert_eq!(roles(&[], OWNER_NAME).len(), 1);
    }
}
