//! What a page's query asks for. Every state of the page is a link, so that it works without scripts and can be sent to others.

use form_urlencoded::{Serializer, parse};
use session_lock::State;

/// What is shown of the locks. Whatever of it is not understood counts as not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// The one directory that is shown; all without it.
    pub(crate) directory: Option<String>,
    /// What session, holder or trace have to contain.
    pub(super) text: String,
    pub(super) only: Option<Only>,
    pub(super) column: Column,
    pub(super) order: Order,
    /// Which part of a directory's rows, from 1.
    pub(super) part: usize,
}

/// Which locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Only {
    Waited,
    State(State),
}

/// A column, to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Session,
    State,
    Holder,
    Since,
    Waiters,
    Token,
    Trace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

/// The lock that a page is about. A query, because a session may be called `..`, which in a path means something else to
/// browsers and proxies, however it is encoded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LockQuery {
    pub(crate) directory: String,
    pub(crate) session: String,
}

impl Only {
    pub(super) const ALL: [Self; 8] = [
        Self::Waited,
        Self::State(State::Held),
        Self::State(State::ForeignHeld),
        Self::State(State::Reclaimable),
        Self::State(State::Inherited),
        Self::State(State::Corrupt),
        Self::State(State::NotAClaim),
        Self::State(State::Unknown),
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Waited => "waiting",
            Self::State(state) => state.as_str(),
        }
    }
}

impl Column {
    pub(super) const ALL: [Self; 7] =
        [Self::Session, Self::State, Self::Holder, Self::Since, Self::Waiters, Self::Token, Self::Trace];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::State => "state",
            Self::Holder => "holder",
            Self::Since => "age",
            Self::Waiters => "waiters",
            Self::Token => "token",
            Self::Trace => "trace",
        }
    }

    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::Session => "Session",
            Self::State => "State",
            Self::Holder => "Holder",
            Self::Since => "Age",
            Self::Waiters => "Waiters",
            Self::Token => "Token",
            Self::Trace => "Trace",
        }
    }

    /// What somebody who sorts by it wants to see first.
    const fn first(self) -> Order {
        match self {
            Self::Session | Self::State | Self::Holder | Self::Trace => Order::Ascending,
            Self::Since | Self::Waiters | Self::Token => Order::Descending,
        }
    }
}

impl Order {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ascending => "ascending",
            Self::Descending => "descending",
        }
    }

    const fn reverse(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }
}

impl Default for Query {
    /// Who is waited for comes first.
    fn default() -> Self {
        let column = Column::Waiters;
        Self { directory: None, text: String::new(), only: None, column, order: column.first(), part: 1 }
    }
}

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        let mut order = None;
        for (name, value) in parse(query.as_bytes()) {
            match &*name {
                "directory" if !value.is_empty() => parsed.directory = Some(value.into_owned()),
                "q" => value.trim().clone_into(&mut parsed.text),
                "state" => parsed.only = Only::ALL.into_iter().find(|only| only.as_str() == value),
                "sort" => {
                    let column = Column::ALL.into_iter().find(|column| column.as_str() == value);
                    parsed.column = column.unwrap_or(parsed.column);
                }
                "order" => {
                    order = [Order::Ascending, Order::Descending].into_iter().find(|order| order.as_str() == value);
                }
                "part" => parsed.part = value.parse().unwrap_or(1).max(1),
                _ => {}
            }
        }
        parsed.order = order.unwrap_or(parsed.column.first());
        parsed
    }

    /// A reference to the page in this state, from the page itself.
    pub(super) fn href(&self) -> String {
        let usual = Self::default();
        let mut query = Serializer::new(String::new());
        query.extend_pairs(self.directory.iter().map(|directory| ("directory", directory)));
        query.extend_pairs((!self.text.is_empty()).then_some(("q", &self.text)));
        query.extend_pairs(self.only.map(|only| ("state", only.as_str())));
        if self.column != usual.column || self.order != usual.order {
            query.append_pair("sort", self.column.as_str());
        }
        if self.order != self.column.first() {
            query.append_pair("order", self.order.as_str());
        }
        if self.part != 1 {
            query.append_pair("part", &self.part.to_string());
        }
        format!("?{}", query.finish())
    }

    /// Sorted by a column: once more the other way round.
    pub(super) fn sorted_by(&self, column: Column) -> Self {
        let order = if self.column == column { self.order.reverse() } else { column.first() };
        Self { column, order, part: 1, ..self.clone() }
    }

    /// A part of one directory.
    pub(super) fn part_of(&self, directory: &str, part: usize) -> Self {
        Self { directory: Some(directory.to_owned()), part, ..self.clone() }
    }

    /// What a form has to keep, besides text and state.
    pub(super) fn kept_by_form(&self) -> Vec<(&'static str, &str)> {
        let sorted = (self.column, self.order) != (Column::Waiters, Order::Descending);
        let directory = self.directory.as_deref().map(|directory| ("directory", directory));
        let sort = sorted.then_some([("sort", self.column.as_str()), ("order", self.order.as_str())]);
        directory.into_iter().chain(sort.into_iter().flatten()).collect()
    }
}

impl LockQuery {
    pub(crate) fn parse(query: &str) -> Self {
        parse(query.as_bytes()).fold(Self::default(), |mut parsed, (name, value)| {
            match &*name {
                "directory" => parsed.directory = value.into_owned(),
                "session" => parsed.session = value.into_owned(),
                _ => {}
            }
            parsed
        })
    }

    /// What follows the path in a reference to its page.
    pub(super) fn href(directory: &str, session: &str) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("directory", directory).append_pair("session", session);
        format!("lock?{}", query.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_the_page_is_a_link() {
        let text = "a&b=c%<\"'>\u{202e}+ #".to_owned();
        for column in Column::ALL {
            for only in Only::ALL.map(Some).into_iter().chain([None]) {
                let usual = Query { directory: Some(text.clone()), text: text.clone(), only, ..Query::default() };
                let query = Query { part: 7, ..usual.sorted_by(column) };
                for query in [query.sorted_by(column), query, usual] {
                    assert_eq!(Query::parse(&query.href()[1..]), query);
                }
            }
        }
        assert_eq!(Query::default().href(), "?");
        assert_eq!(Query::parse("sort=no&order=no&part=-1&state=%ff&x"), Query::default());
    }

    #[test]
    fn any_name_can_be_linked_to() {
        for session in ["..", "a/b", "a&session=b", "\u{202e}\n<script>", "%2e%2e"] {
            let href = LockQuery::href("d&d", session);
            let parsed = LockQuery::parse(href.strip_prefix("lock?").expect("its path"));
            assert_eq!(parsed, LockQuery { directory: "d&d".to_owned(), session: session.to_owned() });
        }
    }
}
