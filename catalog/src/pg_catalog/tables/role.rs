//! Roles are actors, and the owner of everything, which nobody logs in as. No verifier of a
//! password is ever shown, not even to superusers.

use omnigraph_engine::Result;

use crate::pg_catalog::graph::{GraphFacts, Role};
use crate::pg_catalog::value::{Row, Rows, row};

const HIDDEN: &str = "********";

fn common(role: &Role) -> Row {
    row![
        "oid" => role.oid,
        "rolname" => &role.name,
        "rolsuper" => role.superuser,
        "rolinherit" => true,
        "rolcreaterole" => role.superuser,
        "rolcreatedb" => role.superuser,
        "rolcanlogin" => role.login,
        "rolreplication" => role.superuser,
        "rolbypassrls" => role.superuser,
        "rolconnlimit" => -1,
    ]
}

pub fn authid(graph: &GraphFacts, rows: &mut Rows) -> Result<()> {
    graph
        .roles
        .iter()
        .try_for_each(|role| rows.push(common(role)))
}

pub fn roles(graph: &GraphFacts, rows: &mut Rows) -> Result<()> {
    for role in &graph.roles {
        let mut entry = common(role);
        entry.extend(row!["rolpassword" => HIDDEN]);
        rows.push(entry)?;
    }
    Ok(())
}

fn user(role: &Role) -> Row {
    row![
        "usename" => &role.name,
        "usesysid" => role.oid,
        "usecreatedb" => role.superuser,
        "usesuper" => role.superuser,
        "userepl" => role.superuser,
        "usebypassrls" => role.superuser,
    ]
}

pub fn users(graph: &GraphFacts, rows: &mut Rows) -> Result<()> {
    for role in graph.roles.iter().filter(|role| role.login) {
        let mut entry = user(role);
        entry.extend(row!["passwd" => HIDDEN]);
        rows.push(entry)?;
    }
    Ok(())
}

pub fn shadow(graph: &GraphFacts, rows: &mut Rows) -> Result<()> {
    graph
        .roles
        .iter()
        .filter(|role| role.login)
        .try_for_each(|role| rows.push(user(role)))
}

/// Roles that nobody logs in as.
pub fn groups(graph: &GraphFacts, rows: &mut Rows) -> Result<()> {
    for role in graph.roles.iter().filter(|role| !role.login) {
        let members: Vec<u32> = graph
            .roles
            .iter()
            .filter(|member| member.login)
            .map(|member| member.oid)
            .collect();
        rows.push(row!["groname" => &role.name, "grosysid" => role.oid, "grolist" => members])?;
    }
    Ok(())
}

/// Actors own what they work on through the owner's role.
pub fn members(graph: &GraphFacts, rows: &mut Rows) -> Result<()> {
    for owner in graph.roles.iter().filter(|role| !role.login) {
        for member in graph.roles.iter().filter(|role| role.login) {
            rows.push(row![
                "roleid" => owner.oid,
                "member" => member.oid,
                "grantor" => owner.oid,
                "admin_option" => false,
                "inherit_option" => true,
                "set_option" => false,
            ])?;
        }
    }
    Ok(())
}
