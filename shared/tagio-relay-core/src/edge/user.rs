//! Names: of nodes, and of users with what they ask for in their name.

use std::fmt;

/// Longest name of a node; a UUID as text has 36 letters.
const NODE_ID_BYTES_MAX: usize = 64;
/// Longest name of a user's session.
const SESSION_BYTES_MAX: usize = 64;
/// Between a user's name and the node that is asked for.
const NODE_MARK: &str = "-node-";
/// Between a user's name and that of a session.
const SESSION_MARK: &str = "-session-";

/// A node's name: letters, digits, `-`, `_` and `.`. Whoever knows it can be this node, so it is shown to nobody.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Box<str>);

impl NodeId {
    /// Checks a name.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_name = !text.is_empty() && text.len() <= NODE_ID_BYTES_MAX && text.bytes().all(is_plain);
        is_name.then(|| Self(text.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeId(***)")
    }
}

/// What a user asks for by the name that is shown to the SOCKS5 front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserName {
    /// Whose password counts.
    pub user: String,
    /// The node to leave by.
    pub node: Option<NodeId>,
    /// What stays with one node.
    pub session: Option<String>,
}

impl UserName {
    /// Reads `user`, `user-node-<uuid>` or `user-session-<name>`; `None` where what is asked for makes no sense.
    ///
    /// The first mark counts, so a user's own name has none.
    pub fn parse(text: &str) -> Option<Self> {
        let find = |mark: &str| text.find(mark).map(|at| (at, &text[..at], &text[at + mark.len()..]));
        let (node, session) = (find(NODE_MARK), find(SESSION_MARK));
        match (node, session) {
            (Some((at, user, name)), other) if other.is_none_or(|(second, ..)| at < second) => {
                Some(Self { user: user.to_owned(), node: Some(NodeId::parse(name)?), session: None })
            }
            (_, Some((_, user, name))) => {
                let is_name = !name.is_empty() && name.len() <= SESSION_BYTES_MAX;
                is_name.then(|| Self { user: user.to_owned(), node: None, session: Some(name.to_owned()) })
            }
            (_, None) => Some(Self { user: text.to_owned(), node: None, session: None }),
        }
    }

    /// Whether somebody may be called so: what stands behind a mark would be taken for a wish.
    pub fn is_plain(name: &str) -> bool {
        !name.is_empty() && !name.contains(NODE_MARK) && !name.contains(SESSION_MARK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(String, Option<String>, Option<String>)> {
        let name = UserName::parse(text)?;
        Some((name.user, name.node.map(|node| node.as_str().to_owned()), name.session))
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_name_may_ask_for_a_node_or_a_session() {
        assert_eq!(parts("anna"), Some(("anna".to_owned(), None, None)));
        assert_eq!(parts("anna-node-08bd-11"), Some(("anna".to_owned(), some("08bd-11"), None)));
        assert_eq!(parts("anna-session-shop"), Some(("anna".to_owned(), None, some("shop"))));
        assert_eq!(parts("anna-node-a-session-b"), Some(("anna".to_owned(), some("a-session-b"), None)));
        assert_eq!(parts("anna-session-a-node-b"), Some(("anna".to_owned(), None, some("a-node-b"))));
    }

    #[test]
    fn wishes_that_make_no_sense_are_refused() {
        for wrong in ["anna-node-", "anna-node-a b", "anna-node-ü", "anna-session-"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
        assert_eq!(parts(&format!("anna-node-{}", "x".repeat(65))), None);
        assert!(
            UserName::is_plain("anna-nodes") && !UserName::is_plain("anna-node-x") && !UserName::is_plain("")
        );
    }
}
