//! Whether others can connect to this node, and what the answers of all servers come to.

/// Whether others can connect to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reachability {
    /// Nobody has been able to say.
    #[default]
    Unknown,
    Public,
    Private,
}

impl Reachability {
    /// As events and metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}

/// What the answers of all servers come to, each counting the same: said twice, it outlives one answer of the other kind.
#[derive(Debug, Default)]
pub(crate) struct Opinion {
    is: Reachability,
    settled: bool,
}

impl Opinion {
    pub(crate) const fn is(&self) -> Reachability {
        self.is
    }

    /// Whether it was said twice.
    pub(crate) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Takes an answer. Whether it makes a change.
    pub(crate) fn hear(&mut self, answer: Reachability) -> bool {
        let agrees = answer == self.is;
        let changes = !agrees && !self.settled;
        self.settled = agrees;
        if changes {
            self.is = answer;
        }
        changes
    }

    /// Something else has changed: the next answer decides.
    pub(crate) fn doubt(&mut self) {
        self.settled = false;
    }
}

#[cfg(test)]
mod tests {
    use Reachability::{Private, Public};

    use super::*;

    #[test]
    fn a_single_answer_of_the_other_kind_changes_what_was_said_once_and_not_what_was_said_twice() {
        let mut opinion = Opinion::default();
        let changes = |opinion: &mut Opinion, answers: &[Reachability]| -> Vec<bool> {
            answers.iter().map(|answer| opinion.hear(*answer)).collect()
        };
        assert_eq!(changes(&mut opinion, &[Public, Private, Public, Public]), [true, true, true, false]);
        assert!(opinion.is_settled());
        assert_eq!(
            changes(&mut opinion, &[Private, Public, Public, Private, Private]),
            [false, false, false, false, true]
        );
        assert_eq!(changes(&mut opinion, &[Private]), [false]);
        opinion.doubt();
        assert_eq!(changes(&mut opinion, &[Public]), [true]);
    }
}
