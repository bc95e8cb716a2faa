//! Calls of text search: which configuration they mean, and what they become.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use omnigraph_catalog::pg_catalog::text_search::{analyzer, configuration};
use omnigraph_catalog::types::PgType;
use omnigraph_engine::search::Analyzer;
use omnigraph_udfs::pg::{text_search, words};

use super::coerce::positioned;
use super::functions::undefined;
use super::typed::Typed;
use super::{Binder, known, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

impl Binder<'_> {
    /// A function of text search, whose first argument may be a configuration.
    pub(super) fn text_search(
        &mut self,
        name: &str,
        mut args: Vec<Typed>,
        result: PgType,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let named = args
            .first()
            .is_some_and(|arg| arg.ty.oid == PgType::REGCONFIG.oid);
        let analyzer = if named {
            match known(&args.remove(0)) {
                Some(ScalarValue::UInt32(Some(oid))) => {
                    analyzer(oid).ok_or_else(|| missing(&oid.to_string(), at))?
                }
                Some(_) => return Ok(Typed::value(crate::text::read::null(result)?, result)),
                None => {
                    let what = "a text search configuration that is not constant";
                    return Err(unsupported(what, at));
                }
            }
        } else if text_search::is_of_text(name) {
            self.default_analyzer(at)?
        } else {
            Analyzer::default()
        };
        let exprs = args.iter().map(|arg| arg.expr.clone()).collect();
        let expr = text_search::function(name, analyzer, exprs)
            .ok_or_else(|| undefined(name, &args, at))?;
        Ok(Typed::new(expr, result))
    }

    /// `get_current_ts_config()`.
    pub(super) fn current_configuration(&self, at: Option<u32>) -> PgResult<Expr> {
        let analyzer = self.default_analyzer(at)?;
        let oid = configuration(analyzer.name());
        Ok(Expr::Literal(ScalarValue::UInt32(oid), None))
    }

    fn default_analyzer(&self, at: Option<u32>) -> PgResult<Analyzer> {
        let setting = self.env.session().setting(DEFAULT);
        let setting = setting.unwrap_or_else(|| Analyzer::English.name().to_owned());
        let name = setting.strip_prefix("pg_catalog.").unwrap_or(&setting);
        Analyzer::named(name).ok_or_else(|| missing(name, at))
    }

    /// `has_words(text, words [, edits] [, analyzer])` and its kind.
    pub(super) fn word_condition(
        &self,
        name: &str,
        mut args: Vec<Typed>,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let with_analyzer = match name {
            "has_near_words" => args.len() == 4,
            _ => args.len() == 3,
        };
        let mut analyzer = Analyzer::default();
        if with_analyzer && let Some(given) = args.pop() {
            let Some(ScalarValue::Utf8(Some(given))) = known(&given) else {
                return Err(unsupported("an analyzer that is not constant", at));
            };
            analyzer = Analyzer::named(&given).ok_or_else(|| {
                let names = Analyzer::ALL.map(Analyzer::name).join(", ");
                let error = PgError::new(
                    sqlstate::INVALID_PARAMETER_VALUE,
                    format!("there is no analyzer \"{given}\""),
                );
                positioned(error.hint(format!("It is one of {names}.")), at)
            })?;
        }
        let exprs = args.iter().map(|arg| arg.expr.clone()).collect();
        let expr =
            words::function(name, analyzer, exprs).ok_or_else(|| undefined(name, &args, at))?;
        Ok(Typed::new(expr, PgType::BOOL))
    }
}

/// The setting that says how texts become words where a statement does not.
pub(crate) const DEFAULT: &str = "default_text_search_config";

fn missing(name: &str, at: Option<u32>) -> PgError {
    let error = PgError::new(
        sqlstate::UNDEFINED_OBJECT,
        format!("text search configuration \"{name}\" does not exist"),
    );
    let names = Analyzer::ALL.map(Analyzer::name).join(", ");
    positioned(error.hint(format!("There are {names}.")), at)
}
