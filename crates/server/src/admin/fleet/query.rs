//! What queries of the fleet's addresses say. Pure.

use std::collections::BTreeMap;

use everwire_fleet::target::Target;
use everwire_proto::signalr::negotiate::parameters;

use crate::problem::Problem;

/// A query whose parameters are taken one by one, like the keys of a configuration: what is left is a
/// mistake.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn read(text: Option<&str>) -> Self {
        Self(parameters(text.unwrap_or_default()).collect())
    }

    /// The text of a parameter.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.remove(at).1)
    }

    /// A parameter that is read from text.
    pub(super) fn parsed<T: std::str::FromStr>(
        &mut self,
        name: &str,
        what: &str,
    ) -> Result<Option<T>, Problem> {
        let wrong = |_| Problem::bad_request(format!("{name}: is not {what}"));
        self.take(name).map(|text| text.parse().map_err(wrong)).transpose()
    }

    /// How many are wanted on a page.
    pub(super) fn limit(&mut self) -> Result<usize, Problem> {
        let limit = self.parsed("limit", "a number")?.unwrap_or(PAGE);
        if (1..=PAGE_MAX).contains(&limit) {
            return Ok(limit);
        }
        Err(Problem::bad_request(format!("limit: is not from 1 to {PAGE_MAX}")))
    }

    /// Whom is asked for by `target` and `label.NAME`.
    pub(super) fn target(&mut self) -> Result<Target, Problem> {
        let mut target = Target::default();
        if let Some(text) = self.take("target") {
            target.pattern =
                text.parse().map_err(|error| Problem::bad_request(format!("target: {error}")))?;
        }
        let (labels, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.0).into_iter().partition(|(name, _)| name.starts_with(LABEL));
        self.0 = others;
        let label =
            |(name, value): (String, String)| (name[LABEL.len()..].into(), value.into_boxed_str());
        target.labels = labels.into_iter().map(label).collect::<BTreeMap<_, _>>();
        Ok(target)
    }

    /// What nobody has taken nobody knows.
    pub(super) fn finish(self) -> Result<(), Problem> {
        match self.0.first() {
            Some((name, _)) => {
                Err(Problem::bad_request(format!("{name}: this address has no such parameter")))
            }
            None => Ok(()),
        }
    }
}

const LABEL: &str = "label.";

/// How large a page is if nobody says, and at most.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_taken_and_what_is_left_is_a_mistake() {
        let mut query = Query::read(Some("target=shop&label.zone=a%20b&limit=7&after=x&label.b="));
        assert_eq!(query.limit().unwrap(), 7);
        assert_eq!(query.take("after").as_deref(), Some("x"));
        let target = query.target().unwrap();
        assert_eq!(target.pattern.as_str(), "shop:**");
        assert_eq!(target.labels["zone"].as_ref(), "a b");
        assert_eq!(target.labels.len(), 2);
        assert!(query.finish().is_ok());
        assert!(Query::read(Some("lmit=7")).finish().is_err());
        assert_eq!(Query::read(None).limit().unwrap(), PAGE);
        for wrong in ["limit=0", "limit=1001", "limit=x", "limit=-1"] {
            assert!(Query::read(Some(wrong)).limit().is_err(), "{wrong}");
        }
        assert!(Query::read(Some("target=a b")).target().is_err());
    }
}
